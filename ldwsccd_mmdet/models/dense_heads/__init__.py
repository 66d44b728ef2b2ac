"""Dense heads."""

from .dsod_head import DSODHead
from .dssd_head import DSSDHead
from .efficientdet_head import EfficientDetHead
from .rssd_head import RSSDHead
from .ssd_student_head import SSDStudentHead
from .yolov1_head import YOLOv1Head
from .yolov2_head import YOLOv2Head
from .yolov4_head import YOLOv4Head

__all__ = [
    'DSODHead',
    'DSSDHead',
    'EfficientDetHead',
    'RSSDHead',
    'SSDStudentHead',
    'YOLOv1Head',
    'YOLOv2Head',
    'YOLOv4Head',
]
