"""RoI heads."""

from .bbox_heads import SVMBBoxHead
from .boosted_oicr_head import BoostedOICRHead
from .mil_refinement_head import MILRefinementHead
from .refinement_distillation_head import RefinementDistillationHead
from .roi_extractors import SpatialPyramidPool, SPPRoIExtractor, WarpedRoIExtractor
from .score_join import ScoreJoin
from .wsod2_refinement_head import WSOD2RefinementHead

__all__ = [
    'BoostedOICRHead',
    'MILRefinementHead',
    'RefinementDistillationHead',
    'SPPRoIExtractor',
    'SVMBBoxHead',
    'ScoreJoin',
    'SpatialPyramidPool',
    'WSOD2RefinementHead',
    'WarpedRoIExtractor',
]
