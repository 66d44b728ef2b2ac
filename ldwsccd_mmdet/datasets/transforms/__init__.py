from .load_cell_annotations import LoadCellAnnotations
from .load_verified_image import LoadVerifiedImageFromFile
from .pack_cell_inputs import PackCellInputs

__all__ = ['LoadCellAnnotations', 'LoadVerifiedImageFromFile', 'PackCellInputs']
