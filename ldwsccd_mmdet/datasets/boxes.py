"""What makes a box useless, and in what form a set gives its boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ['NO_AREA', 'NO_NUMBERS', 'box_fault', 'first_items', 'guess_box_form']

NO_AREA = 'of no area (or under 1 px wide or high)'
NO_NUMBERS = 'without four finite numbers'

_LEAST = 3  # boxes from which on their form can be guessed


def box_fault(
    bbox: Any, width: float | None, height: float | None, min_size: float = 1
) -> str | None:
    """Name what makes a box useless, by mmdet's own rules; None if nothing does.

    The ``area`` that an annotation gives has no say: where it is 0 or missing, that of the box
    counts.

    Args:
        bbox: x, y, w, h in pixels of the image, as the annotation file gives it.
        width: Width of the image, pixels; None if it is not known.
        height: Height of the image, pixels; None if it is not known.
        min_size: Least width and height, pixels.
    """
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4 or not all(map(_is_finite, bbox)):
        return NO_NUMBERS
    x, y, w, h = bbox
    if w < 0 or h < 0:
        return 'of negative size'
    if w < 1 or h < 1:
        return NO_AREA
    if w < min_size or h < min_size:
        return f'under {min_size:g} px wide or high'
    if x + w <= 0 or y + h <= 0 or (width and x >= width) or (height and y >= height):
        return 'outside their image'
    return None


def _is_finite(value: Any) -> bool:
    """Tell whether a value is a number that a float holds."""
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def guess_box_form(bboxes: np.ndarray, sizes: np.ndarray) -> str | None:
    """Guess that the boxes of a set are not x, y, w, h in pixels of their images.

    A guess is made where the boxes, taken as pixels, break the images' frames or crowd into a
    corner of them, and taken in another form none of them does.

    Args:
        bboxes: Four numbers each, finite, shape ``(n, 4)``.
        sizes: Width and height of each box's image, pixels, shape ``(n, 2)``.

    Returns:
        What they seem to be, with the remedy; None for pixels, or fewer than three boxes.
    """
    if len(bboxes) < _LEAST:
        return None
    low, high = bboxes[:, :2], bboxes[:, 2:]
    if (bboxes >= 0).all() and bboxes.max() > 0:
        # a box of one pixel is no box: nothing but fractions is that small everywhere
        if (low + high).max() <= 1.001 or ((low <= 1).all() and (high <= 1.001).all()):
            return 'fractions of the image: multiply x and w by its width, y and h by its height'
        if bboxes.max() <= 100.001 and (sizes.min(axis=1) >= 200).mean() > 0.9:
            return (
                'percent of the image: multiply x and w by its width / 100, y and h by its '
                'height / 100'
            )
    beyond = ((low + high) > sizes + 1).any(axis=1)
    # a few cells cut at the edge are usual
    if beyond.mean() <= 0.02:
        return None
    if (high > low).all() and (high <= sizes + 1).all() and (low >= -1).all():
        return 'x1, y1, x2, y2: write x, y, x2 - x1, y2 - y1'
    if (low - high / 2 >= -1).all() and (low + high / 2 <= sizes + 1).all():
        return 'centre x, centre y, w, h: write x - w / 2, y - h / 2, w, h'
    return None


def first_items(items: Sequence[str], most: int = 10) -> str:
    """List the first few of many."""
    return ', '.join(items[:most]) + (', ...' if len(items) > most else '')
