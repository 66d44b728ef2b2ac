"""Annotations of other formats as COCO json: one module a format."""

from .class_names import (
    BETHESDA_CLASSES,
    CCD_CLASSES,
    ClassMap,
    cytology_class,
)
from .coco_builder import CocoBuilder, check_new, dump, write_new, write_set
from .comparison_detector import read_comparison_detector, read_comparison_splits
from .pascal_voc import read_pascal_voc, read_voc_split, voc_classes
from .points import read_points
from .yolo import read_class_names, read_yolo, yolo_files

__all__ = [
    'BETHESDA_CLASSES',
    'CCD_CLASSES',
    'ClassMap',
    'CocoBuilder',
    'check_new',
    'cytology_class',
    'dump',
    'read_class_names',
    'read_comparison_detector',
    'read_comparison_splits',
    'read_pascal_voc',
    'read_points',
    'read_voc_split',
    'read_yolo',
    'voc_classes',
    'write_new',
    'write_set',
    'yolo_files',
]
