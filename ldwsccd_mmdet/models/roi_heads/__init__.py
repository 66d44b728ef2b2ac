"""RoI heads."""

from .mil_refinement_head import MILRefinementHead
from .roi_extractors import SpatialPyramidPool, SPPRoIExtractor
from .score_join import ScoreJoin

__all__ = ['MILRefinementHead', 'SPPRoIExtractor', 'ScoreJoin', 'SpatialPyramidPool']
