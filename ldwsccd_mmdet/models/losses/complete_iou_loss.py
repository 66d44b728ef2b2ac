"""CIoU loss of boxes."""

import math

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..utils import no_autocast
from ..utils.distance_iou import iou_and_distance


def complete_iou(pred: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    r"""CIoU of pairs of boxes (Zheng et al., 2020, eq. 8-11).

    .. math::
        CIoU = IoU - \rho^2 / c^2 - \alpha v, \quad
        v = \frac{4}{\pi^2} \Big(\arctan\frac{w^*}{h^*} - \arctan\frac{w}{h}\Big)^2, \quad
        \alpha = \frac{v}{1 - IoU + v}

    :math:`\alpha` has no gradient. mmdet's ``CIoULoss`` is NaN where both boxes are equal to the
    last bit; this one is 1 there.

    Args:
        pred: (..., 4), x1, y1, x2, y2 in any unit.
        target: (..., 4), in the same unit.
        eps: Least union, diagonal, height and denominator.

    Returns:
        (...), in [-2, 1]; the gradient is finite for boxes without an area, too.
    """
    iou, distance = iou_and_distance(pred, target, eps)
    size, size_t = pred[..., 2:] - pred[..., :2], target[..., 2:] - target[..., :2]
    angle = torch.atan(size[..., 0] / size[..., 1].clamp(min=eps))
    angle_t = torch.atan(size_t[..., 0] / size_t[..., 1].clamp(min=eps))
    aspect = 4 / math.pi**2 * (angle_t - angle).square()
    with torch.no_grad():
        alpha = aspect / (1 - iou + aspect).clamp(min=eps)
    return iou - distance - alpha * aspect


@MODELS.register_module()
class CompleteIoULoss(nn.Module):
    """``1 - CIoU``, see :func:`complete_iou`, in float32 whatever the autocast.

    Args:
        loss_weight: Factor.

    Example:
        >>> pred = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]])
        >>> target = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0]])
        >>> CompleteIoULoss()(pred[:1], target[:1])  # the same box
        tensor(0.)
        >>> CompleteIoULoss()(pred, target)
        tensor(0.3718)
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            pred: Boxes (n, 4), x1, y1, x2, y2.
            target: Boxes (n, 4), in the same unit.
            weight: (n,), or None.
            avg_factor: What the sum is divided by; None divides by n, at least 1.

        Returns:
            A scalar; 0, and connected to ``pred``, if there is no box.
        """
        with no_autocast(pred):
            loss = 1 - complete_iou(pred.float(), target.float())
            if weight is not None:
                loss = loss * weight
            if avg_factor is None:
                avg_factor = max(len(pred), 1)
            return self.loss_weight * loss.sum() / avg_factor
