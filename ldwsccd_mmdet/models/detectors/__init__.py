"""Detectors."""

from .feature_cache import FeatureCache
from .frozen_teacher import FrozenTeacher
from .ldwsccd import LDWSCCD
from .ldwsccd_mixin import LDWSCCDMixin
from .ldwsccd_two_stage import LDWSCCDTwoStage
from .proposer_fast_rcnn import ProposerFastRCNN
from .rcnn import RCNN
from .yolov4 import YOLOV4

__all__ = [
    'LDWSCCD',
    'RCNN',
    'YOLOV4',
    'FeatureCache',
    'FrozenTeacher',
    'LDWSCCDMixin',
    'LDWSCCDTwoStage',
    'ProposerFastRCNN',
]
