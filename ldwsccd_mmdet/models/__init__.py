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
    RCNN,
    YOLOV4,
    FrozenTeacher,
    LDWSCCDMixin,
    LDWSCCDTwoStage,
    ProposerFastRCNN,
)
from .losses import CompleteIoULoss, HingeLoss, LocalDistillationLoss
from .necks import BiFPN, DSODNeck, DSSDNeck, FSSDNeck, RSSDNeck, YOLOv1Neck, YOLOv2Neck, YOLOv4Neck
from .roi_heads import (
    BoostedOICRHead,
    MILRefinementHead,
    RefinementDistillationHead,
    SpatialPyramidPool,
    SPPRoIExtractor,
    SVMBBoxHead,
    WarpedRoIExtractor,
    WSOD2RefinementHead,
)
from .task_modules.objectness import EdgeDensity, SuperpixelStraddling
from .task_modules.proposers import (
    FileProposer,
    NucleusBlobProposer,
    PriorProposer,
    SelectiveSearchProposer,
)

__all__ = [
    'LDWSCCD',
    'RCNN',
    'YOLOV4',
    'BiFPN',
    'BoostedOICRHead',
    'CSPDarknet53',
    'CompleteIoULoss',
    'DSODHead',
    'DSODNeck',
    'DSODNet',
    'DSSDHead',
    'DSSDNeck',
    'Darknet19',
    'EdgeDensity',
    'EfficientDetHead',
    'FSSDNeck',
    'FileProposer',
    'FrozenTeacher',
    'HingeLoss',
    'LDWSCCDMixin',
    'LDWSCCDTwoStage',
    'LocalDistillationLoss',
    'MILRefinementHead',
    'NucleusBlobProposer',
    'PriorProposer',
    'ProposerFastRCNN',
    'RSSDHead',
    'RSSDNeck',
    'RefinementDistillationHead',
    'SPPRoIExtractor',
    'SSDStudentHead',
    'SVMBBoxHead',
    'ScaledSSDVGG',
    'SelectiveSearchProposer',
    'SpatialPyramidPool',
    'SuperpixelStraddling',
    'WSOD2RefinementHead',
    'WarpedRoIExtractor',
    'YOLOv1Backbone',
    'YOLOv1Head',
    'YOLOv1Neck',
    'YOLOv2Head',
    'YOLOv2Neck',
    'YOLOv4Head',
    'YOLOv4Neck',
]
