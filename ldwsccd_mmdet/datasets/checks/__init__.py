"""Checks of annotation files and images: pure functions, which the data set and tools share.

The checks that need more than an annotation file are imported from their modules: ``images``,
``duplicates``, ``priors``, ``examine``.
"""

from .boxes import NO_AREA, box_fault, first_items
from .coco_file import load_coco
from .files import IMAGE_SUFFIXES, image_size, missing_files, require_images
from .finding import LEVELS, Finding

__all__ = [
    'IMAGE_SUFFIXES',
    'LEVELS',
    'NO_AREA',
    'Finding',
    'box_fault',
    'first_items',
    'image_size',
    'load_coco',
    'missing_files',
    'require_images',
]
