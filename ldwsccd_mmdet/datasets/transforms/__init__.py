from .load_verified_image import LoadVerifiedImageFromFile

__all__ = ['LoadVerifiedImageFromFile']
