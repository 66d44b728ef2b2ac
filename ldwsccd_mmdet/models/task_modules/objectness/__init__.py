"""What a picture itself says of a region: is it a whole object? No weights, no classes."""

from .base_objectness import BaseObjectness
from .edge_density import EdgeDensity
from .superpixel_straddling import SuperpixelStraddling
from .superpixels import superpixels

__all__ = ['BaseObjectness', 'EdgeDensity', 'SuperpixelStraddling', 'superpixels']
