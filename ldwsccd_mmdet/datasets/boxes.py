"""What makes a box useless."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ['NO_AREA', 'box_fault', 'first_items']

NO_AREA = 'of no area (or under 1 px wide or high)'


def box_fault(
    bbox: Any, width: float, height: float, area: float | None = None, min_size: float = 1
) -> str | None:
    """Name what makes a box useless, by mmdet's own rules; None if nothing does.

    Args:
        bbox: x, y, w, h in pixels of the image, as the annotation file gives it.
        width: Width of the image, pixels.
        height: Height of the image, pixels.
        area: The annotation's own ``area``, if it has one; 0 or less counts as no area.
        min_size: Least width and height, pixels.
    """
    if (
        not isinstance(bbox, (list, tuple))
        or len(bbox) != 4
        or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in bbox)
    ):
        return 'without four finite numbers'
    x, y, w, h = bbox
    if w < 0 or h < 0:
        return 'of negative size'
    if w < 1 or h < 1 or (area is not None and area <= 0):
        return NO_AREA
    if w < min_size or h < min_size:
        return f'under {min_size:g} px wide or high'
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        return 'outside their image'
    return None


def first_items(items: Sequence[str], most: int = 10) -> str:
    """List the first few of many."""
    return ', '.join(items[:most]) + (', ...' if len(items) > most else '')
