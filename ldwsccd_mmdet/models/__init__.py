"""Models of LD-WSCCD, in the rooms where mmdet keeps its own."""

from .backbones import CSPDarknet53, ScaledSSDVGG
from .dense_heads import DSSDHead, SSDStudentHead, YOLOv4Head
from .detectors import (
    LDWSCCD,
    YOLOV4,
    FrozenTeacher,
    LDWSCCDMixin,
    LDWSCCDTwoStage,
    ProposerFastRCNN,
)
from .losses import CompleteIoULoss, LocalDistillationLoss
from .necks import DSSDNeck, FSSDNeck, YOLOv4Neck
from .roi_heads import MILRefinementHead
from .task_modules.proposers import (
    FileProposer,
    NucleusBlobProposer,
    PriorProposer,
    SelectiveSearchProposer,
)

__all__ = [
    'LDWSCCD',
    'YOLOV4',
    'CSPDarknet53',
    'CompleteIoULoss',
    'DSSDHead',
    'DSSDNeck',
    'FSSDNeck',
    'FileProposer',
    'FrozenTeacher',
    'LDWSCCDMixin',
    'LDWSCCDTwoStage',
    'LocalDistillationLoss',
    'MILRefinementHead',
    'NucleusBlobProposer',
    'PriorProposer',
    'ProposerFastRCNN',
    'SSDStudentHead',
    'ScaledSSDVGG',
    'SelectiveSearchProposer',
    'YOLOv4Head',
    'YOLOv4Neck',
]
