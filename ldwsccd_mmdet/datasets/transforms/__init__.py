from .load_verified_image import LoadVerifiedImageFromFile
from .pack_cell_inputs import PackCellInputs

__all__ = ['LoadVerifiedImageFromFile', 'PackCellInputs']
