"""Dense heads."""

from .ssd_student_head import SSDStudentHead
from .yolov4_head import YOLOv4Head

__all__ = ['SSDStudentHead', 'YOLOv4Head']
