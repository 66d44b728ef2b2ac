"""Checks of annotation files and images: pure functions, which the data set and tools share."""

from .boxes import NO_AREA, box_fault, first_items
from .coco_file import load_coco
from .files import IMAGE_SUFFIXES, image_size, missing_files, require_images

__all__ = [
    'IMAGE_SUFFIXES',
    'NO_AREA',
    'box_fault',
    'first_items',
    'image_size',
    'load_coco',
    'missing_files',
    'require_images',
]
