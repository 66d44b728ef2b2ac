"""Class colours that stay apart under the common colour-vision deficiencies."""

from __future__ import annotations

import numpy as np

__all__ = ['class_palette', 'contrast_color', 'hex_color']

# Okabe and Ito (2008), then colours of Tol's "muted" set that none of them resembles.
_COLORS = (
    '#E69F00',
    '#56B4E9',
    '#009E73',
    '#F0E442',
    '#0072B2',
    '#D55E00',
    '#CC79A7',
    '#882255',
    '#999933',
    '#332288',
    '#000000',
)


def class_palette(num_classes: int) -> np.ndarray:
    """Return one RGB colour per class.

    Eleven colours, one for each class of the paper; with more classes they repeat, which is why
    a drawing always writes the class name too.

    Args:
        num_classes: Number of classes.

    Returns:
        RGB, shape ``(num_classes, 3)``, ``uint8``.
    """
    colors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _COLORS], np.uint8)
    return colors[np.arange(num_classes) % len(colors)]


def contrast_color(color: np.ndarray) -> np.ndarray:
    """Return black or white, whichever is easier to read on ``color`` (RGB, ``(..., 3)``)."""
    # relative luminance of WCAG 2.1; .179 is where both contrasts are equal
    channel = np.asarray(color, float) / 255
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    dark = np.zeros(3, np.uint8)
    return np.where(luminance[..., None] > 0.179, dark, 255 - dark).astype(np.uint8)


def hex_color(color: np.ndarray) -> str:
    """Write an RGB colour as ``#rrggbb``."""
    return '#{:02x}{:02x}{:02x}'.format(*(int(c) for c in color))
