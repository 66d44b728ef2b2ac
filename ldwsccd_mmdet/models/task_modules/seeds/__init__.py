"""Which regions stand for the classes of an image: the seeds of eq. 16."""

from .mist_seeds import MISTSeeds
from .seeds import Seeds, join_seeds
from .threshold_seeds import ThresholdSeeds
from .top_seeds import TopSeeds

__all__ = ['MISTSeeds', 'Seeds', 'ThresholdSeeds', 'TopSeeds', 'join_seeds']
