"""Where the names of boxes go, so that they can be read."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import ImageFont

__all__ = ['fitting_labels', 'label_font', 'place_labels', 'text_sizes']


@lru_cache(maxsize=8)
def label_font(size: int) -> ImageFont.FreeTypeFont:
    """Return the label font, matplotlib's own DejaVu Sans, at ``size`` pixels."""
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'), size
    )


def text_sizes(texts: list[str], font_size: float, padding: float = 0.25) -> np.ndarray:
    """Measure labels.

    Args:
        texts: The labels.
        font_size: Font size, in pixels of the drawing.
        padding: Room on each side of the text, as a part of the font size.

    Returns:
        Width and height, shape ``(n, 2)``, in pixels of the drawing.
    """
    # measured at 32 px, because small sizes are hinted to whole pixels
    widths = [label_font(32).getlength(text) * font_size / 32 for text in texts]
    sizes = np.empty((len(texts), 2))
    sizes[:, 0] = np.asarray(widths) + 2 * padding * font_size
    sizes[:, 1] = 1.2 * font_size
    return sizes


def place_labels(bboxes: np.ndarray, sizes: np.ndarray, canvas: tuple[float, float]) -> np.ndarray:
    """Place one label at each box, clear of the labels placed before where that is cheap.

    Above the box is tried first, then below, inside at the top and at the bottom, each at the
    left and the right edge; if every place is taken, the one that hides least is used. Earlier
    boxes choose first, so pass the most important box first.

    Args:
        bboxes: Boxes ``x1, y1, x2, y2``, shape ``(n, 4)``, in pixels of the drawing.
        sizes: Label width and height, shape ``(n, 2)``, in pixels of the drawing.
        canvas: Width and height of the drawing, in pixels.

    Returns:
        The upper left corners of the labels, shape ``(n, 2)``, inside the canvas.
    """
    placed = np.zeros((len(bboxes), 4))
    for i, ((x1, y1, x2, y2), (width, height)) in enumerate(zip(bboxes, sizes, strict=True)):
        xs, ys = (x1, x2 - width), (y1 - height, y2, y1, y2 - height)
        corners = np.array([(x, y) for y in ys for x in xs])
        limit = np.maximum(np.asarray(canvas) - (width, height), 0)
        inside = np.clip(corners, 0, limit)
        spots = np.hstack([inside, inside + (width, height)])
        overlap = np.minimum(spots[:, None, 2:], placed[:i, 2:]) - np.maximum(
            spots[:, None, :2], placed[:i, :2]
        )
        hidden = overlap.clip(min=0).prod(-1).sum(-1)
        # a label pushed back into the canvas sits less well, unless all else is taken
        moved = np.abs(inside - corners).sum(-1) * 1e-3
        placed[i] = spots[np.argmin(hidden + moved)]
    return placed[:, :2]


def fitting_labels(corners: np.ndarray, sizes: np.ndarray) -> list[int]:
    """Choose the labels that hide no label chosen before.

    Args:
        corners: Upper left corners, shape ``(n, 2)``, most important first.
        sizes: Label width and height, shape ``(n, 2)``.

    Returns:
        Their indices, rising.
    """
    spots = np.hstack([corners, corners + sizes])
    chosen: list[int] = []
    for i, spot in enumerate(spots):
        others = spots[chosen]
        overlap = np.minimum(spot[2:], others[:, 2:]) - np.maximum(spot[:2], others[:, :2])
        if not (overlap > 0).all(1).any():
            chosen.append(i)
    return chosen
