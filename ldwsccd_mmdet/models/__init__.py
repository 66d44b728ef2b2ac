"""Models of LD-WSCCD, in the rooms where mmdet keeps its own."""

from .backbones import CSPDarknet53, Darknet19, DSODNet, ScaledSSDVGG, YOLOv1Backbone
from .dense_heads import (
    DSODHead,
    DSSDHead,
    EfficientDetHead,
    RSSDHead,
    SSDStudentHead,
    YOLOv1Head,
    YOLOv2Head,
    YOLOv4Head,
)
from .detectors import (
    LDWSCCD,
    YOLOV4,
    FrozenTeacher,
    LDWSCCDMixin,
    LDWSCCDTwoStage,
    ProposerFastRCNN,
)
from .losses import CompleteIoULoss, LocalDistillationLoss
from .necks import BiFPN, DSODNeck, DSSDNeck, FSSDNeck, RSSDNeck, YOLOv1Neck, YOLOv2Neck, YOLOv4Neck
from .roi_heads import MILRefinementHead, SpatialPyramidPool, SPPRoIExtractor
from .task_modules.proposers import (
    FileProposer,
    NucleusBlobProposer,
    PriorProposer,
    SelectiveSearchProposer,
)

__all__ = [
    'LDWSCCD',
    'YOLOV4',
    'BiFPN',
    'CSPDarknet53',
    'CompleteIoULoss',
    'DSODHead',
    'DSODNeck',
    'DSODNet',
    'DSSDHead',
    'DSSDNeck',
    'Darknet19',
    'EfficientDetHead',
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
    'RSSDHead',
    'RSSDNeck',
    'SPPRoIExtractor',
    'SSDStudentHead',
    'ScaledSSDVGG',
    'SelectiveSearchProposer',
    'SpatialPyramidPool',
    'YOLOv1Backbone',
    'YOLOv1Head',
    'YOLOv1Neck',
    'YOLOv2Head',
    'YOLOv2Neck',
    'YOLOv4Head',
    'YOLOv4Neck',
]
