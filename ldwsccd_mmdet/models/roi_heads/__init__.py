"""RoI heads."""

from .mil_refinement_head import MILRefinementHead

__all__ = ['MILRefinementHead']
