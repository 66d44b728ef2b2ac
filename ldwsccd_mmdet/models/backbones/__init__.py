"""Backbones."""

from .scaled_ssd_vgg import ScaledSSDVGG

__all__ = ['ScaledSSDVGG']
