"""Large fields in tiles: where the tiles lie, and which boxes of them are the same cell.

Grid and merging are SAHI's (Akyon et al., "Slicing Aided Hyper Inference", ICIP 2022), extra
``tiles``.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..optional import require

__all__ = ['merge_tiles', 'tile_boxes']

_PURPOSE = 'Prediction in tiles'
#: A box whose edge is so near to its tile's, pixels, is cut off by it.
_NEAR = 2.0
#: A cut box that lies so far within a whole one, part of its area, is a part of that cell.
_WITHIN = 0.6


def tile_boxes(size: tuple[int, int], tile: tuple[int, int], overlap: float) -> np.ndarray:
    """Lay tiles over an image; the last of a row or column is moved back into it.

    Args:
        size: Width and height of the image, pixels.
        tile: Width and height of a tile, pixels.
        overlap: Part of a tile that it shares with the next, in [0, 1).

    Returns:
        Tiles ``x1, y1, x2, y2``, shape ``(n, 4)``, row by row.

    Raises:
        InputError: SAHI is not installed, or the overlap is out of range.
    """
    if not 0 <= overlap < 1:
        raise InputError(f'--overlap: expected a part from 0 up to, but not, 1, found {overlap:g}')
    slicing = require('sahi.slicing', 'tiles', _PURPOSE)
    width, height = size
    boxes = slicing.get_slice_bboxes(
        image_height=height,
        image_width=width,
        slice_height=min(tile[1], height),
        slice_width=min(tile[0], width),
        auto_slice_resolution=False,
        overlap_height_ratio=overlap,
        overlap_width_ratio=overlap,
    )
    boxes = np.unique(np.asarray(boxes, int), axis=0)
    return boxes[np.lexsort((boxes[:, 0], boxes[:, 1]))]


def merge_tiles(
    bboxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    tiles: np.ndarray,
    size: tuple[int, int],
    overlap: tuple[float, float],
    iou_thr: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring the boxes of overlapping tiles together, so that each cell is there once.

    A box smaller than the overlap that lies close to its tile's inner edge, or is cut off by it, is
    left out: the next tile holds that cell whole, with more room around it. A larger one that is
    cut off is left out where another tile sees the cell whole, else joined with its other parts
    (greedy non-maximum merging by the intersection over the smaller box). Then NMS, as the
    detector's own.

    Args:
        bboxes: ``x1, y1, x2, y2`` in pixels of the image, shape ``(n, 4)``.
        scores: Shape ``(n,)``.
        labels: Shape ``(n,)``.
        tiles: The tile of each box, ``x1, y1, x2, y2``, shape ``(n, 4)``.
        size: Width and height of the image, pixels.
        overlap: Width and height that neighbouring tiles share, pixels of the image.
        iou_thr: Overlap from which two boxes of one class are one cell.

    Returns:
        Boxes, scores and labels that are left.
    """
    combine = require('sahi.postprocess.combine', 'tiles', _PURPOSE)
    if not len(bboxes):
        return bboxes, scores, labels
    extent, margin = bboxes[:, 2:] - bboxes[:, :2], _margins(bboxes, tiles, size)
    spare = np.asarray(overlap) - extent
    sides = tiles[:, 2:] - tiles[:, :2]
    # a quarter: where both tiles see a cell well both keep it, and NMS takes one
    elsewhere = ((spare > 0) & (margin < np.maximum(spare / 4, _NEAR))).any(1)
    cut = ((spare <= 0) & (margin <= _NEAR)).any(1)
    rows = np.column_stack([bboxes, scores, labels]).astype(np.float64)
    whole, parts = rows[~cut & ~elsewhere], rows[cut & ~elsewhere]
    if len(parts):
        # halves share the overlap, and are no longer than a tile
        shared = float((np.asarray(overlap) / sides.max(0)).min())
        parts = _joined(_not_within(parts, whole), 0.6 * shared)
        whole = np.vstack([whole, parts])
    if not len(whole):
        return bboxes[:0], scores[:0], labels[:0]
    whole = whole[combine.batched_nms(whole, 'IOU', iou_thr)]
    return whole[:, :4], whole[:, 4], whole[:, 5].astype(np.int64)


def _not_within(parts: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Leave out cut boxes of cells that another tile sees whole, unless twice as surely."""
    first = whole.copy()
    first[:, 4] *= 2
    groups = _groups(np.vstack([first, parts]), _WITHIN)
    within = [i for best, rest in groups.items() if best < len(whole) for i in rest]
    return np.delete(parts, [i - len(whole) for i in within if i >= len(whole)], axis=0)


def _joined(parts: np.ndarray, threshold: float) -> np.ndarray:
    """Join the parts of each cell that no tile sees whole; score and class of the best."""
    if not len(parts):
        return parts
    joined = [parts[[best, *rest]] for best, rest in _groups(parts, threshold).items()]
    return np.array([[*g[:, :2].min(0), *g[:, 2:4].max(0), *g[0, 4:]] for g in joined])


def _groups(rows: np.ndarray, threshold: float) -> dict[int, list[int]]:
    """Boxes of one class that share this part of the smaller one, by the best of each group."""
    combine = require('sahi.postprocess.combine', 'tiles', _PURPOSE)
    groups = combine.batched_greedy_nmm(rows, 'IOS', threshold)
    # where nothing is to be joined SAHI gives a list
    return groups if isinstance(groups, dict) else {i: [] for i in groups}


def _margins(bboxes: np.ndarray, tiles: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Distance of each box, by axis, to the nearest edge of its tile that is none of the image."""
    gaps = np.abs(bboxes - tiles).astype(np.float64)
    gaps[tiles == np.array([0, 0, *size])] = np.inf
    return np.minimum(gaps[:, :2], gaps[:, 2:])
