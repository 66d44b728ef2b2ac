"""Detectors."""

from .feature_cache import FeatureCache
from .frozen_teacher import FrozenTeacher
from .ldwsccd import LDWSCCD
from .ldwsccd_mixin import LDWSCCDMixin
from .ldwsccd_two_stage import LDWSCCDTwoStage

__all__ = ['LDWSCCD', 'FeatureCache', 'FrozenTeacher', 'LDWSCCDMixin', 'LDWSCCDTwoStage']
