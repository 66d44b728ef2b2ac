"""Parts that choose boxes, as mmdet's task modules do: no weights, no gradient."""

from .seeds import (
    MISTSeeds,
    Seeds,
    ThresholdSeeds,
    TopSeeds,
)

__all__ = ['MISTSeeds', 'Seeds', 'ThresholdSeeds', 'TopSeeds']
