"""Models of LD-WSCCD, in the rooms where mmdet keeps its own."""

from .backbones import ScaledSSDVGG
from .dense_heads import SSDStudentHead
from .detectors import LDWSCCD, FrozenTeacher, LDWSCCDMixin, LDWSCCDTwoStage
from .losses import LocalDistillationLoss
from .roi_heads import MILRefinementHead
from .task_modules.proposers import (
    FileProposer,
    NucleusBlobProposer,
    PriorProposer,
    SelectiveSearchProposer,
)

__all__ = [
    'LDWSCCD',
    'FileProposer',
    'FrozenTeacher',
    'LDWSCCDMixin',
    'LDWSCCDTwoStage',
    'LocalDistillationLoss',
    'MILRefinementHead',
    'NucleusBlobProposer',
    'PriorProposer',
    'SSDStudentHead',
    'ScaledSSDVGG',
    'SelectiveSearchProposer',
]
