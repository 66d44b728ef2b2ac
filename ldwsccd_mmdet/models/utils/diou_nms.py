"""Non-maximum suppression that spares near neighbours whose centres differ."""

import torch
from torch import Tensor

from .cluster_nms import suppress
from .distance_iou import iou_and_distance


@torch.no_grad()
def diou_nms(
    bboxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float = 0.45, beta: float = 0.6
) -> Tensor:
    r"""Greedy NMS within each class by DIoU (Zheng et al., 2020, section 3.3).

    A box goes if for a kept box of its class and of higher score

    .. math:: IoU - (\rho^2 / c^2)^\beta > \text{threshold}

    with the distance of the centres :math:`\rho` and the diagonal of the enclosing box :math:`c`:
    two cells that overlap but have different centres both stay. All pairs are compared at once;
    the result is that of the greedy loop.

    Args:
        bboxes: (k, 4), x1, y1, x2, y2. Memory grows with k^2: give the best few thousand.
        scores: (k,).
        labels: (k,), the classes; boxes of two classes never suppress each other.
        iou_threshold: See above.
        beta: See above. The paper's is 1; Darknet's ``beta_nms``, in ``yolov4.cfg``, is 0.6.

    Returns:
        Indices (n,) of the boxes that stay, by falling score.
    """
    order = scores.sort(descending=True, stable=True).indices
    boxes, labels = bboxes[order].float(), labels[order]
    iou, distance = iou_and_distance(boxes[:, None], boxes[None])
    # row i may suppress column j > i
    above = (iou - distance**beta > iou_threshold) & (labels[:, None] == labels[None])
    candidate = torch.ones(len(order), dtype=torch.bool, device=order.device)
    return order[suppress(above.triu(diagonal=1), candidate)]
