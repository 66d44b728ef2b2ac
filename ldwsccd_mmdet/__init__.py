"""LD-WSCCD for MMDetection 3.x: cell detectors from noisy, incomplete or image-level labels.

Importing the package registers its classes in mmdet's registries, so that a config needs only
``custom_imports = dict(imports=['ldwsccd_mmdet'], allow_failed_imports=False)``.
"""

from .optional import HAS_MMDET
from .version import __version__

if HAS_MMDET:
    from . import datasets, engine, evaluation, models, visualization

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'visualization']
