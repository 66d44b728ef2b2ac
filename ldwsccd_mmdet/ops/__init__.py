"""Operators in plain torch that stand in for mmcv's compiled ones, only where those are missing.

``mmcv-lite`` is mmcv without ``mmcv._ext``. :func:`install_stand_in` puts a module of that name in
its place, with what the shipped configs need: NMS, soft-NMS, RoIAlign, RoIPool and the sigmoid
focal loss (no shipped config uses deformable convolution). Where torchvision works, its kernels are
used. Any other operator raises :class:`ldwsccd_mmdet.errors.OperatorError`, which says how to get
compiled ones.
"""

from .stand_in import OPERATORS, install_stand_in, is_stand_in

__all__ = ['OPERATORS', 'install_stand_in', 'is_stand_in']
