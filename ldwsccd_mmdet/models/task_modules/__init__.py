"""Parts that choose boxes, as mmdet's task modules do: no weights, no gradient."""

from .objectness import EdgeDensity, SuperpixelStraddling
from .seeds import (
    MISTSeeds,
    Seeds,
    ThresholdSeeds,
    TopSeeds,
)

__all__ = [
    'EdgeDensity',
    'MISTSeeds',
    'Seeds',
    'SuperpixelStraddling',
    'ThresholdSeeds',
    'TopSeeds',
]
