from .load_verified_image import LoadVerifiedImageFromFile
from .verify_image import VerifyImage

__all__ = ['LoadVerifiedImageFromFile', 'VerifyImage']
