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
#: A box whose edge is so near to its tile's, part of the tile's side, is cut off by it.
_NEAR = 0.01
#: Part of the room that the overlap leaves beside a cell: a cell that is nearer to its tile's edge
#: than that is the next tile's.
_LEFT_OUT = 0.45
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
    (grouped by greedy non-maximum merging, by the intersection over the smaller box): the best part
    ends, where it is cut, as the best of those that go on there. Then NMS, as the detector's own.

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
    extent, gaps = bboxes[:, 2:] - bboxes[:, :2], _gaps(bboxes, tiles, size)
    margin = np.minimum(gaps[:, :2], gaps[:, 2:])
    spare = np.asarray(overlap) - extent
    sides = tiles[:, 2:] - tiles[:, :2]
    near = np.maximum(_NEAR * sides, 2)
    # less than a half, so that no cell is left out by both tiles; NMS takes one where both keep it
    elsewhere = ((spare > 0) & (margin < np.maximum(_LEFT_OUT * spare, near))).any(1)
    cut = np.tile(spare <= 0, 2) & (gaps <= np.tile(near, 2)) & ~elsewhere[:, None]
    is_part = cut.any(1)
    rows = np.column_stack([bboxes, scores, labels]).astype(np.float64)
    whole, parts = rows[~is_part & ~elsewhere], rows[is_part]
    if len(parts):
        # halves share the overlap, and are no longer than a tile
        shared = float((np.asarray(overlap) / sides.max(0)).min())
        alone = _not_within(parts, whole)
        parts = _joined(parts[alone], cut[is_part][alone], 0.6 * shared)
        whole = np.vstack([whole, parts])
    if not len(whole):
        return bboxes[:0], scores[:0], labels[:0]
    whole = whole[combine.batched_nms(whole, 'IOU', iou_thr)]
    return whole[:, :4], whole[:, 4], whole[:, 5].astype(np.int64)


def _not_within(parts: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Which cut boxes show a cell that no other tile sees whole, or half as surely at most."""
    first = whole.copy()
    first[:, 4] *= 2
    groups = _groups(np.vstack([first, parts]), _WITHIN)
    alone = np.ones(len(parts), bool)
    for best, rest in groups.items():
        if best < len(whole):
            alone[[i - len(whole) for i in rest if i >= len(whole)]] = False
    return alone


def _joined(parts: np.ndarray, cut: np.ndarray, threshold: float) -> np.ndarray:
    """Join the parts of each cell that no tile sees whole.

    Score, class and the edges that its tile does not cut are those of the best part. Where it is
    cut, the cell ends where the best of the parts that go on there does; where none does, where the
    last of them is cut.

    Args:
        parts: Rows ``x1, y1, x2, y2, score, label``.
        cut: Which edges the tile cuts, shape ``(n, 4)``.
        threshold: Part of the smaller box that parts of one cell share.
    """
    if not len(parts):
        return parts
    outward = np.array([-1, -1, 1, 1])
    joined = []
    for best, rest in _groups(parts, threshold).items():
        row = parts[best].copy()
        others = np.array([best, *rest])
        for edge in np.flatnonzero(cut[best]):
            reach = outward[edge] * parts[others, edge]
            ends = others[~cut[others, edge] & (reach >= reach[0])]
            end = ends[parts[ends, 4].argmax()] if len(ends) else others[reach.argmax()]
            row[edge] = parts[end, edge]
        joined.append(row)
    return np.array(joined)


def _groups(rows: np.ndarray, threshold: float) -> dict[int, list[int]]:
    """Boxes of one class that share this part of the smaller one, by the best of each group."""
    combine = require('sahi.postprocess.combine', 'tiles', _PURPOSE)
    groups = combine.batched_greedy_nmm(rows, 'IOS', threshold)
    # where nothing is to be joined SAHI gives a list
    return groups if isinstance(groups, dict) else {i: [] for i in groups}


def _gaps(bboxes: np.ndarray, tiles: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Distance of each edge of a box to that of its tile; infinite where the image ends there."""
    gaps = np.abs(bboxes - tiles).astype(np.float64)
    gaps[tiles == np.array([0, 0, *size])] = np.inf
    return gaps
