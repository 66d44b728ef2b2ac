"""A region is whole if no patch of one colour sticks out of it."""

from collections.abc import Callable

from mmdet.registry import TASK_UTILS
from torch import Tensor
from torch.nn.functional import one_hot

from .base_objectness import BaseObjectness, IntegralImage, area
from .superpixels import superpixels


@TASK_UTILS.register_module()
class SuperpixelStraddling(BaseObjectness):
    r"""Superpixels straddling (Alexe, Deselaers and Ferrari, TPAMI 2012; WSOD2's best evidence).

    .. math::
        SS(w) = 1 - \sum_{s} \frac{\min(|s \setminus w|, |s \cap w|)}{|w|}

    with w a region and s the superpixels of the picture. It is 1 where each superpixel lies wholly
    inside or outside of the region, and low where the region cuts through what has one colour. The
    paper takes the superpixels of Felzenszwalb and Huttenlocher; here they are SLIC's, which need
    no further package and run on a GPU.

    Args:
        num_superpixels: Superpixels of a picture, about; >= 2.
        max_side: See :class:`BaseObjectness`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, num_superpixels: int = 100, max_side: int = 96) -> None:
        super().__init__(max_side)
        self._check('num_superpixels', num_superpixels, num_superpixels >= 2, 'at least 2')
        self.num_superpixels = num_superpixels

    def prepare(self, pictures: Tensor) -> Callable[[Tensor], Tensor]:
        """See :meth:`BaseObjectness.prepare`."""
        labels = superpixels(pictures, self.num_superpixels)
        members = one_hot(labels).movedim(-1, 1).to(pictures)
        size = members.sum(dim=(2, 3))[..., None]
        inside = IntegralImage(members)

        def measure(boxes: Tensor) -> Tensor:
            covered = inside(boxes).clamp(min=0)
            straddling = covered.minimum((size - covered).clamp(min=0)).sum(dim=1)
            whole = area(boxes)
            return (1 - straddling / whole.clamp(min=1e-6)).masked_fill(whole <= 0, 0)

        return measure
