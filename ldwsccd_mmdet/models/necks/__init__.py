"""Necks."""

from .bifpn import BiFPN
from .dsod_neck import DSODNeck
from .dssd_neck import DSSDNeck
from .fssd_neck import FSSDNeck
from .rssd_neck import RSSDNeck
from .yolov1_neck import YOLOv1Neck
from .yolov2_neck import YOLOv2Neck
from .yolov4_neck import YOLOv4Neck

__all__ = [
    'BiFPN',
    'DSODNeck',
    'DSSDNeck',
    'FSSDNeck',
    'RSSDNeck',
    'YOLOv1Neck',
    'YOLOv2Neck',
    'YOLOv4Neck',
]
