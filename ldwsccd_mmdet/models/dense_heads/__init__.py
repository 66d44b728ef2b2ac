"""Dense heads."""

from .dssd_head import DSSDHead
from .ssd_student_head import SSDStudentHead
from .yolov4_head import YOLOv4Head

__all__ = ['DSSDHead', 'SSDStudentHead', 'YOLOv4Head']
