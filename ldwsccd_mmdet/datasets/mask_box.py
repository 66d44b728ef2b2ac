"""The box around a segmentation, for annotations that give no box of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ['mask_box']


def mask_box(segmentation: Any) -> list[float] | None:
    """Return the box around a segmentation in one of the forms that exporters write.

    Args:
        segmentation: Polygons ``[[x, y, x, y, ...], ...]``, points ``[[[x, y], ...], ...]`` or one
            polygon without its outer list, in pixels of the image; or a mask in runs (RLE),
            ``{'size': [h, w], 'counts': ...}`` with a list of runs or the text that COCO packs
            them into.

    Returns:
        x, y, w, h, pixels of the image; None if there is no such segmentation.
    """
    if isinstance(segmentation, Mapping):
        return _runs_box(segmentation)
    if isinstance(segmentation, (list, tuple)) and all(
        isinstance(value, (int, float)) for value in segmentation
    ):
        segmentation = [segmentation]
    try:
        parts = [np.asarray(part, float).reshape(-1, 2) for part in segmentation]
        points = np.concatenate(parts)
        low, high = points.min(axis=0), points.max(axis=0)
    except (TypeError, ValueError, OverflowError):
        return None
    return [*low.tolist(), *(high - low).tolist()]


def _runs_box(mask: Mapping[str, Any]) -> list[float] | None:
    """Return the box around a mask whose runs go down its columns, the first one empty."""
    try:
        height, width = (int(value) for value in mask['size'])
        counts = mask['counts']
        runs = _unpack(counts) if isinstance(counts, str) else [int(count) for count in counts]
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None
    if height < 1 or not 0 < height * width < 2**53 or min(runs, default=-1) < 0:
        return None
    if sum(runs) != height * width:
        return None
    ends = np.cumsum([0, *runs])
    start, stop = ends[1::2][: len(runs) // 2], ends[2::2]
    start, stop = start[stop > start], stop[stop > start]
    if not len(start):
        return None
    left, right = start // height, (stop - 1) // height  # columns of the first and last pixel
    over = left != right  # such a run reaches the lower edge, and begins again at the upper one
    top = np.where(over, 0, start % height)
    bottom = np.where(over, height - 1, (stop - 1) % height)
    x, y = int(left.min()), int(top.min())
    return [x, y, int(right.max()) + 1 - x, int(bottom.max()) + 1 - y]


def _unpack(text: str) -> Sequence[int]:
    """Read the runs that COCO packs into a text: five bits a character, differences from the 4th.

    Raises:
        IndexError, ValueError: It is no such text.
    """
    codes = [code - 48 for code in text.encode('ascii')]
    runs: list[int] = []
    place = 0
    while place < len(codes):
        value = shift = 0
        more = True
        while more:
            code = codes[place]
            value |= (code & 0x1F) << shift
            shift += 5
            place += 1
            more = bool(code & 0x20)
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs
