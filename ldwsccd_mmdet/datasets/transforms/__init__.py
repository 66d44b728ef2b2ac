from .load_cell_annotations import LoadCellAnnotations
from .load_verified_image import LoadVerifiedImageFromFile
from .pack_cell_inputs import PackCellInputs
from .stain_distortion import StainDistortion
from .verify_image import VerifyImage

__all__ = [
    'LoadCellAnnotations',
    'LoadVerifiedImageFromFile',
    'PackCellInputs',
    'StainDistortion',
    'VerifyImage',
]
