"""Distort brightness, contrast and colours of a stained smear, and keep what is red red."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import PhotoMetricDistortion
from mmdet.registry import TRANSFORMS

__all__ = ['StainDistortion']


@TRANSFORMS.register_module()
class StainDistortion(PhotoMetricDistortion):
    """mmdet's ``PhotoMetricDistortion`` (SSD's, Liu et al., ECCV 2016) without its last step.

    That step changes the order of red, green and blue in half of the images, so that nuclei turn
    green and cytoplasm blue. In cytology colour is the stain, and SSD's published settings never
    take the step either (``random_order_prob: 0``). Brightness, contrast, saturation and hue vary
    as before, by the same draws.

    Args: those of ``PhotoMetricDistortion``.
    """

    @cache_randomness
    def _random_flags(self) -> Sequence[float | np.ndarray]:
        """Draw what the parent draws; the order of the channels stays."""
        return (*super()._random_flags()[:-1], np.arange(3))
