"""LD-WSCCD for MMDetection 3.x: cell detectors from noisy, incomplete or image-level labels.

Importing the package registers its classes in mmdet's registries, so that a config needs only
``custom_imports = dict(imports=['ldwsccd_mmdet'], allow_failed_imports=False)``.
What else it changes in the process is told, and switched off, in :mod:`ldwsccd_mmdet.process`.
"""

from .optional import HAS_MMDET
from .process import may_change_process
from .version import __version__

if HAS_MMDET:
    if may_change_process():
        from .ops import install_stand_in

        install_stand_in()  # mmdet, which the rooms below import, imports mmcv's operators
    from . import datasets, engine, evaluation, models, visualization

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'visualization']
