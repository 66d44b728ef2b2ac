"""IoU and the distance of centres, which DIoU, CIoU and DIoU-NMS are made of."""

import torch
from torch import Tensor


def iou_and_distance(bboxes: Tensor, others: Tensor, eps: float = 1e-7) -> tuple[Tensor, Tensor]:
    r"""IoU, and :math:`\rho^2 / c^2` of Zheng et al. (2020), eq. 6.

    :math:`\rho` is the distance of the two centres, :math:`c` the diagonal of the smallest box
    that encloses both.

    Args:
        bboxes: (..., 4), x1, y1, x2, y2 in any unit.
        others: (..., 4) of a shape that broadcasts with it.
        eps: Least union, and least :math:`c^2`: a box without an area has the IoU 0.

    Returns:
        Both of the broadcast shape without the last dimension, in [0, 1].
    """
    x1, y1, x2, y2 = bboxes.unbind(dim=-1)
    u1, v1, u2, v2 = others.unbind(dim=-1)
    width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp(min=0)
    height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp(min=0)
    inter = width * height
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter
    diagonal = (torch.maximum(x2, u2) - torch.minimum(x1, u1)).square()
    diagonal = diagonal + (torch.maximum(y2, v2) - torch.minimum(y1, v1)).square()
    distance = ((u1 + u2) - (x1 + x2)).square() + ((v1 + v2) - (y1 + y2)).square()
    return inter / union.clamp(min=eps), distance / 4 / diagonal.clamp(min=eps)
