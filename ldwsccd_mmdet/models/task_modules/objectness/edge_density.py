"""A region is whole if its border has edges along it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmdet.registry import TASK_UTILS
from torch import Tensor

from .base_objectness import BaseObjectness, IntegralImage, area

_EPS = 1e-6


@TASK_UTILS.register_module()
class EdgeDensity(BaseObjectness):
    r"""Edge density (Alexe, Deselaers and Ferrari, TPAMI 2012).

    .. math::
        ED(w) = \frac{1}{|Inn(w)|} \sum_{p \in Inn(w)} e(p)

    The inner ring :math:`Inn(w)` of a region is what is left of it without the same region, shrunk
    by ``shrink`` around its centre. e is the length of the gradient of brightness (Sobel's), over
    the picture's greatest. The paper counts Canny's edges, and divides by the length of the ring;
    here by its area, so that the value is in [0, 1].

    Args:
        shrink: Sides of the inner region over those of the region, in (0, 1).
        max_side: See :class:`BaseObjectness`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, shrink: float = 0.7, max_side: int = 96) -> None:
        super().__init__(max_side)
        self._check('shrink', shrink, 0 < shrink < 1, 'a number in (0, 1)')
        self.shrink = shrink

    def prepare(self, pictures: Tensor) -> Callable[[Tensor], Tensor]:
        """See :meth:`BaseObjectness.prepare`."""
        sums = IntegralImage(edges(pictures))

        def measure(boxes: Tensor) -> Tensor:
            centre = (boxes[..., :2] + boxes[..., 2:]) / 2
            half = (boxes[..., 2:] - boxes[..., :2]) / 2 * self.shrink
            inner = torch.cat([centre - half, centre + half], dim=-1)
            ring = area(boxes) * (1 - self.shrink**2)
            found = (sums(boxes) - sums(inner))[:, 0]
            return (found / ring.clamp(min=_EPS)).masked_fill(ring <= 0, 0)

        return measure


def edges(pictures: Tensor) -> Tensor:
    """Length of the gradient of brightness (N, 1, h, w), over the picture's greatest."""
    brightness = pictures.mean(dim=1, keepdim=True)
    sobel = pictures.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernel = torch.stack([sobel, sobel.t()])[:, None]
    gradient = F.conv2d(F.pad(brightness, (1, 1, 1, 1), mode='replicate'), kernel)
    length = gradient.square().sum(dim=1, keepdim=True).sqrt()
    return length / length.amax(dim=(1, 2, 3), keepdim=True).clamp(min=_EPS)
