"""Refinement distillation whose regions gather ever more closely around a seed."""

import math

from mmdet.registry import MODELS

from ..utils import training_progress
from .refinement_distillation_head import RefinementDistillationHead

# Zeni and Jung's published code: iterations of which the logarithm starts, and of the training
_START, _LENGTH = 100, 50_000


@MODELS.register_module()
class BoostedOICRHead(RefinementDistillationHead):
    r"""Boosted OICR (Zeni and Jung, CVPR Workshops 2020): distillation, and adaptive aggregation.

    The overlap from which on a region takes a seed's class grows with the training, and the one
    below which a region teaches nothing falls:

    .. math::
        \lambda_{gt}(n) = \lambda \, \frac{\log(n + b) - \log b}{\log(N + b) - \log b}, \qquad
        \lambda_{ign}(n) = \lambda + 0.01 - \lambda_{gt}(n)

    with :math:`\lambda` the ``fg_iou`` (0.5), n of N iterations and b = 100 of 50,000. At first
    only regions on the seed teach, and all its class; in the end those from IoU 0.5 on, and all
    that touch it are background. The formula and b are those of the published code.

    Args:
        num_stages: See :class:`RefinementDistillationHead`.
        **kwargs: As :class:`RefinementDistillationHead`. ``ignore_iou`` is not looked at.
    """

    @property
    def overlaps(self) -> tuple[float, float]:
        """The two overlaps of this iteration."""
        b = _START / _LENGTH
        grown = math.log1p(training_progress() / b) / math.log1p(1 / b)
        return self.fg_iou * grown, min(self.fg_iou * (1 - grown) + 0.01, 1.0)
