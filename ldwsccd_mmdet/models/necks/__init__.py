"""Necks."""

from .dssd_neck import DSSDNeck
from .fssd_neck import FSSDNeck
from .yolov4_neck import YOLOv4Neck

__all__ = ['DSSDNeck', 'FSSDNeck', 'YOLOv4Neck']
