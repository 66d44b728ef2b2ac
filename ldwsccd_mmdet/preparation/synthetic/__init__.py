# SPDX-License-Identifier: Apache-2.0
"""Synthetic Papanicolaou smears: a data set that comes with the package, with known truth."""

from .label_faults import (
    LabelFaults,
    drop_boxes,
    image_labels_only,
    merge_clumps,
    swap_classes,
)
from .smear import CLASSES, Smear, SyntheticSmear
from .writer import write_synthetic_dataset

__all__ = [
    'CLASSES',
    'LabelFaults',
    'Smear',
    'SyntheticSmear',
    'drop_boxes',
    'image_labels_only',
    'merge_clumps',
    'swap_classes',
    'write_synthetic_dataset',
]
