"""Data sets and transforms, registered in mmdet's registries."""

from .cervical_cell_dataset import CervicalCellDataset
from .transforms import LoadVerifiedImageFromFile, PackCellInputs, VerifyImage

__all__ = ['CervicalCellDataset', 'LoadVerifiedImageFromFile', 'PackCellInputs', 'VerifyImage']
