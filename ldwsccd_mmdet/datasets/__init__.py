"""Data sets and transforms, registered in mmdet's registries."""

from ..optional import HAS_MMDET

if HAS_MMDET:
    from .cervical_cell_dataset import CervicalCellDataset
    from .transforms import (
        LoadVerifiedImageFromFile,
        PackCellInputs,
        StainDistortion,
        VerifyImage,
    )

__all__ = [
    'CervicalCellDataset',
    'LoadVerifiedImageFromFile',
    'PackCellInputs',
    'StainDistortion',
    'VerifyImage',
]
