"""Backbones."""

from .csp_darknet53 import CSPDarknet53
from .scaled_ssd_vgg import ScaledSSDVGG

__all__ = ['CSPDarknet53', 'ScaledSSDVGG']
