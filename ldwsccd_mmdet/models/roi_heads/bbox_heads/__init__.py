"""Heads of regions."""

from .svm_bbox_head import SVMBBoxHead

__all__ = ['SVMBBoxHead']
