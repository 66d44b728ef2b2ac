"""Hinge loss of one support vector machine a class."""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..utils import at_least_float32, no_autocast


@MODELS.register_module()
class HingeLoss(nn.Module):
    r"""One machine a class tells it from all else, by its margin m.

    .. math::
        L = \frac{1}{n} \sum_r \omega_r \sum_{c=1}^{C} \max(0, 1 - s_{rc} m_{rc}), \qquad
        s_{rc} = \begin{cases} 1 & y_r = c \\ -1 & \text{else} \end{cases}

    n is ``avg_factor``, or the number of regions. There is no margin of background. A bbox head of
    mmdet asks this loss how many columns it has, and what score a margin is: here
    :math:`1 / (1 + e^{-m})`, which keeps the order of regions and is no probability.

    Args:
        loss_weight: Factor of the loss.
    """

    #: What mmdet's bbox head looks at.
    custom_cls_channels = True

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def get_cls_channels(self, num_classes: int) -> int:
        """Give the number of columns."""
        return num_classes

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Turn margins (R, C) into scores (R, C + 1), background's 0."""
        return F.pad(at_least_float32(cls_score).sigmoid(), (0, 1))

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Compute the loss.

        Args:
            cls_score: Margins (R, C).
            label: (R,), int64 in [0, C]; C is background.
            weight: (R,), >= 0.
            avg_factor: n.
            reduction_override: 'none' gives the loss of each region, (R,).
            **kwargs: Not looked at.
        """
        with no_autocast(cls_score):
            margins = at_least_float32(cls_score)
            classes = torch.arange(margins.shape[1], device=margins.device)
            sign = torch.where(label[:, None] == classes, 1.0, -1.0).to(margins)
            loss = (1 - sign * margins).clamp(min=0).sum(dim=1)
            if weight is not None:
                loss = loss * weight.to(loss)
            loss = self.loss_weight * loss
            if reduction_override == 'none':
                return loss
            return loss.sum() / max(len(loss) if avg_factor is None else avg_factor, 1)
