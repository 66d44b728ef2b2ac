"""RoI heads."""

from .mil_refinement_head import MILRefinementHead
from .score_join import ScoreJoin

__all__ = ['MILRefinementHead', 'ScoreJoin']
