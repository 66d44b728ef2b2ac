from .load_cell_annotations import LoadCellAnnotations
from .load_verified_image import LoadVerifiedImageFromFile
from .pack_cell_inputs import PackCellInputs
from .verify_image import VerifyImage

__all__ = [
    'LoadCellAnnotations',
    'LoadVerifiedImageFromFile',
    'PackCellInputs',
    'VerifyImage',
]
