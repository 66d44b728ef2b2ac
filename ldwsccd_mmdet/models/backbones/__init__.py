"""Backbones."""

from .csp_darknet53 import CSPDarknet53
from .dsod_net import DSODNet
from .plain_darknet import Darknet19, YOLOv1Backbone
from .scaled_ssd_vgg import ScaledSSDVGG

__all__ = ['CSPDarknet53', 'DSODNet', 'Darknet19', 'ScaledSSDVGG', 'YOLOv1Backbone']
