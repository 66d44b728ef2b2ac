"""Soft non-maximum suppression, as mmcv's compiled one does it."""

import numpy as np
import torch
from torch import Tensor

NAIVE, LINEAR, GAUSSIAN = range(3)
# Rows of the table of boxes, after x1, y1, x2, y2.
SCORE, AREA = 4, 5


@torch.no_grad()
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017), in the order of ``mmcv._ext.softnms``.

    Again and again the box with the highest score is taken, and the score of each later box is
    multiplied by a weight of its IoU with the one taken:

        naive     0 where IoU >= iou_threshold, else 1
        linear    1 - IoU where IoU >= iou_threshold, else 1
        gaussian  exp(-IoU^2 / sigma)

    A box whose score falls below ``min_score`` is dropped, and the last box takes its place:
    among equal scores that order decides who is taken first.

    Args:
        boxes: (N, 4) x1, y1, x2, y2, on the CPU.
        scores: (N,).
        dets: (N, 5), written: x1, y1, x2, y2 and the changed score of the K boxes taken.
        iou_threshold: In [0, 1]; not used by the gaussian method.
        sigma: Width of the gaussian.
        min_score: Boxes below this are dropped.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: 0 or 1, what is added to x2 - x1 and y2 - y1.

    Returns:
        (K,) int64, indices of the boxes taken, in this order.
    """
    if boxes.numel() == 0:
        return boxes.new_empty(0, dtype=torch.long)
    # numpy: one step is a dozen calls on a short vector, which torch starts ten times slower
    x1, y1, x2, y2 = (column.numpy() for column in boxes.float().unbind(1))
    one = np.float32(offset)
    area = (x2 - x1 + one) * (y2 - y1 + one)
    table = np.stack([x1, y1, x2, y2, scores.float().numpy(), area])
    index = np.arange(len(boxes))
    taken, count = 0, len(boxes)
    while taken < count:
        best = taken + int(table[SCORE, taken:count].argmax())
        for columns in (table, index):
            columns[..., [taken, best]] = columns[..., [best, taken]]
        box, rest = table[:, taken], table[:, taken + 1 : count]
        rest[SCORE] *= _weight(_iou(box, rest, one), iou_threshold, sigma, method)
        taken += 1
        count = taken + _drop(rest, index[taken:count], min_score)
    dets[:count] = torch.from_numpy(table[:AREA, :count].T.copy()).to(dets)
    return torch.from_numpy(index[:count].copy())


def _drop(rest: np.ndarray, index: np.ndarray, min_score: float) -> int:
    """Close the gaps of boxes below ``min_score`` with the last ones; return how many stay.

    A loop that lets the last box take a dropped one's place, and looks at that place again, fills
    the gaps from the front with the boxes that stay, from the back.
    """
    stays = ~(rest[SCORE] < np.float32(min_score))
    count = int(stays.sum())
    gaps = np.flatnonzero(~stays[:count])
    if len(gaps):
        last = count + np.flatnonzero(stays[count:])[::-1]
        rest[:, gaps], index[gaps] = rest[:, last], index[last]
    return count


def _iou(box: np.ndarray, rest: np.ndarray, one: np.float32) -> np.ndarray:
    width = np.minimum(box[2], rest[2]) - np.maximum(box[0], rest[0]) + one
    height = np.minimum(box[3], rest[3]) - np.maximum(box[1], rest[1]) + one
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    with np.errstate(invalid='ignore', divide='ignore'):  # boxes without area: NaN, no overlap
        return shared / (box[AREA] + rest[AREA] - shared)


def _weight(iou: np.ndarray, iou_threshold: float, sigma: float, method: int) -> np.ndarray:
    if method == GAUSSIAN:
        # in float64, then rounded: what C's float exp gives, where numpy's own differs by a bit
        exponent = -(iou * iou) / np.float32(sigma)
        return np.exp(exponent.astype(np.float64)).astype(np.float32)
    reduced = np.zeros_like(iou) if method == NAIVE else 1 - iou
    return np.where(iou >= np.float32(iou_threshold), reduced, np.float32(1))
