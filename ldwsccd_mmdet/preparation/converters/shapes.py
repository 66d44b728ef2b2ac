"""The boxes around shapes that people draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ['box_around', 'ellipse_corners']


def box_around(points: ArrayLike) -> list[float]:
    """Give the box x, y, w, h around points, shape ``(n, 2)``, pixels."""
    array = np.asarray(points, float)
    low, high = array.min(0), array.max(0)
    return [*map(float, low), *map(float, high - low)]


def ellipse_corners(centre: ArrayLike, radius: ArrayLike, degrees: float = 0) -> np.ndarray:
    r"""Give two corners of the box around an ellipse that is turned about its centre.

    .. math:: h_x = \sqrt{(r_x \cos a)^2 + (r_y \sin a)^2},
        \quad h_y = \sqrt{(r_x \sin a)^2 + (r_y \cos a)^2}

    Args:
        centre: x and y, pixels.
        radius: Half axes, pixels.
        degrees: Angle a.

    Returns:
        Upper left and lower right corner, shape ``(2, 2)``.
    """
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    half = np.hypot(*(np.array([[cos, sin], [sin, cos]]) * np.asarray(radius, float)).T)
    return np.asarray(centre, float) + np.array([-half, half])
