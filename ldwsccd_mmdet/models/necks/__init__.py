"""Necks."""

from .yolov4_neck import YOLOv4Neck

__all__ = ['YOLOv4Neck']
