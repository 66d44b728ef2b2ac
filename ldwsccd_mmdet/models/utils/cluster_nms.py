"""Greedy NMS of many small groups at once."""

import torch
from torch import Tensor

from .pairwise_iou import pairwise_iou

# float32 IoUs that may be in memory at once: 64 MiB, a few times that with what they are made from
MAX_PAIRS = 1 << 24


@torch.no_grad()
def cluster_nms(bboxes: Tensor, candidate: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression of P groups, whose boxes never meet.

    Suppression is applied to all boxes at once, again and again until nothing changes (Cluster-NMS,
    Zheng et al., 2020). The result is that of greedy NMS, and that of each group alone to the last
    bit, which the usual shift of each group by its own offset is not.

    Args:
        bboxes: (P, k, 4), x1, y1, x2, y2, in each group by falling score.
        candidate: Boolean (P, k), false for boxes to leave out.
        iou_threshold: A box goes if its IoU with a kept one is above this.

    Returns:
        Boolean (P, k), true for the boxes that stay.
    """
    num_groups, size = candidate.shape
    step = max(1, MAX_PAIRS // max(size * size, 1))
    kept = [
        _cluster_nms(bboxes[i : i + step], candidate[i : i + step], iou_threshold)
        for i in range(0, num_groups, step)
    ]
    return torch.cat(kept) if kept else candidate


def _cluster_nms(bboxes: Tensor, candidate: Tensor, iou_threshold: float) -> Tensor:
    # row i may suppress column j > i
    suppresses = (pairwise_iou(bboxes, bboxes) > iou_threshold).triu(diagonal=1)
    return suppress(suppresses, candidate)


def suppress(suppresses: Tensor, candidate: Tensor) -> Tensor:
    """Let each kept box suppress those after it, as a greedy loop would.

    Args:
        suppresses: Boolean (..., k, k), whether row i would suppress column j; false for j <= i.
        candidate: Boolean (..., k), false for boxes to leave out.

    Returns:
        Boolean (..., k), true for the boxes that stay.
    """
    keep = candidate
    while True:
        suppressed = (suppresses & keep[..., None]).any(dim=-2)
        previous, keep = keep, candidate & ~suppressed
        if torch.equal(previous, keep):
            return keep
