"""Greedy and soft non-maximum suppression in plain torch, as mmcv's compiled ones do them."""

import numpy as np
import torch
from torch import Tensor

from .torchvision_kernels import torchvision_kernels

# Boxes that are settled at once, at first and at most: one that falls costs nothing from then on.
FIRST_BLOCK, BLOCK = 64, 256
# Pairs of boxes that are compared at once: their matrices stay in a core's cache.
MAX_PAIRS = 1 << 16


@torch.no_grad()
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression, equal to ``mmcv._ext.nms`` on the CPU to the bit.

    By falling score, each box that is still there removes those after it whose

        IoU = I / (A_i + A_j - I),  I = max(0, w) max(0, h),  w = min(x2) - max(x1) + offset

    is above the threshold, all in float32 and in this order. Equal scores keep the order that
    ``scores.sort(descending=True)`` gives them. A pair whose union has no area (0 / 0) overlaps
    by nothing.

    Args:
        boxes: (N, 4) x1, y1, x2, y2, in any one frame.
        scores: (N,).
        iou_threshold: Compared in float32; a box at exactly the threshold stays.
        offset: 0 or 1, what is added to x2 - x1 and y2 - y1 to make a width and a height.

    Returns:
        (K,) int64, indices of the boxes that stay, by falling score.
    """
    if boxes.numel() == 0:
        return boxes.new_empty(0, dtype=torch.long)
    if boxes.dtype in (torch.float16, torch.bfloat16):
        boxes = boxes.float()
    # the threshold as float32 holds it, which is what mmcv compares with
    threshold = float(np.float32(iou_threshold))
    kernels = torchvision_kernels()
    if kernels is not None and offset == 0:
        return kernels.nms(boxes, scores.to(boxes), threshold)
    order = scores.sort(0, descending=True)[1]
    corners = boxes.index_select(0, order).t().contiguous()
    area = (corners[2] - corners[0] + offset) * (corners[3] - corners[1] + offset)
    return order[_greedy(torch.cat([corners, area[None]]), threshold, offset)]


def _greedy(columns: Tensor, threshold: float, offset: int) -> Tensor:
    """Positions (K,) of the boxes that stay, of columns (5, N): corners and area, best first."""
    position = torch.arange(columns.size(1), device=columns.device)
    kept, size = [], FIRST_BLOCK
    while len(position):
        head, tail = columns[:, :size], columns[:, size:]
        stays = _settle(_overlap(head, head, threshold, offset).triu_(diagonal=1))
        kept.append(position[:size][stays])
        position = position[size:]
        if len(position):
            clear = ~_any_overlap(head[:, stays], tail, threshold, offset)
            columns, position = tail[:, clear], position[clear]
        size = min(2 * size, BLOCK)
    return torch.cat(kept)


def _settle(removes: Tensor) -> Tensor:
    """Which of k boxes stay, (k,), where box i would remove box j: boolean (k, k), j > i.

    All boxes at once, until nothing changes (Cluster-NMS, Zheng et al., 2020): round r settles
    what r links of a chain of removals decide, so that the end is that of a loop.
    """
    weights = removes.float()
    stays = torch.ones_like(weights[0])
    while True:
        previous, stays = stays, (stays @ weights == 0).float()
        if torch.equal(previous, stays):
            return stays.bool()


def _any_overlap(first: Tensor, second: Tensor, threshold: float, offset: int) -> Tensor:
    """Whether each of M boxes (5, M) overlaps any of K (5, K) by more than the threshold: (M,)."""
    step = max(1, MAX_PAIRS // max(first.size(1), 1))
    parts = [
        _overlap(first, part, threshold, offset).any(dim=0) for part in second.split(step, dim=1)
    ]
    return torch.cat(parts)


def _overlap(first: Tensor, second: Tensor, threshold: float, offset: int) -> Tensor:
    """Whether the IoU of each of K boxes (5, K) and M (5, M) is above the threshold: (K, M)."""
    x1, y1, x2, y2, area = first[:, :, None]
    width = torch.minimum(x2, second[2]).sub_(torch.maximum(x1, second[0])).add_(offset)
    height = torch.minimum(y2, second[3]).sub_(torch.maximum(y1, second[1])).add_(offset)
    shared = width.clamp_(min=0).mul_(height.clamp_(min=0))
    union = (area + second[4]).sub_(shared)
    return shared.div_(union) > threshold
