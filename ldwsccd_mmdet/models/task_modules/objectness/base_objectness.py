"""What all measures of bottom-up objectness share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ....errors import check_argument
from ...utils import restored_images


class BaseObjectness(ABC):
    """Measures, from the picture alone, how far a region is one whole object.

    Args:
        max_side: The longer side of the picture that is looked at, pixels, >= 16; larger ones are
            shrunk. Areas are exact all the same: a box may end within a pixel.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, max_side: int = 96) -> None:
        self._check('max_side', max_side, max_side >= 16, 'at least 16 pixels')
        self.max_side = max_side

    def _check(self, name: str, value: Any, right: bool, expected: str) -> None:
        """Raise one error that names an argument that is outside its range."""
        check_argument(right, f'{type(self).__name__}.{name}', expected, value)

    @torch.no_grad()
    def __call__(self, batch_inputs: Tensor, data_preprocessor: Any) -> Callable[[Tensor], Tensor]:
        """Look at the pictures once.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            data_preprocessor: What normalised them.

        Returns:
            A function that takes regions (N, R, 4), x1, y1, x2, y2 in pixels of the batch tensor,
            and gives their objectness (N, R) in [0, 1], float32, without gradient. What lies
            outside the image is cut off; a region without an area has 0.
        """
        pictures = restored_images(batch_inputs, data_preprocessor, type(self).__name__)
        height, width = pictures.shape[-2:]
        shrink = min(1.0, self.max_side / max(height, width))
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        small = F.interpolate(pictures.float(), size, mode='area')
        scale = small.new_tensor([size[1] / width, size[0] / height] * 2)
        limits = small.new_tensor([size[1], size[0]] * 2)
        measure = self.prepare(small)

        @torch.no_grad()
        def objectness(regions: Tensor) -> Tensor:
            boxes = regions.detach().float() * scale
            return measure(torch.minimum(boxes.clamp(min=0), limits)).clamp(0, 1)

        return objectness

    @abstractmethod
    def prepare(self, pictures: Tensor) -> Callable[[Tensor], Tensor]:
        """Look at pictures (N, 3, h, w), RGB in [0, 255].

        Returns:
            A function from boxes (N, R, 4) in their pixels, inside them, to (N, R).
        """


class IntegralImage:
    """Sums of maps over boxes, for each box in as much time as four pixels.

    A map is constant within each of its pixels, and a box may cover a part of one.

    Args:
        maps: (N, S, h, w).
    """

    def __init__(self, maps: Tensor) -> None:
        # entry (y, x) is the sum of all above and left of it
        self._sums = F.pad(maps.cumsum(dim=-1).cumsum(dim=-2), (1, 0, 1, 0))
        self._size = maps.new_tensor([maps.shape[-1], maps.shape[-2]])

    def __call__(self, boxes: Tensor) -> Tensor:
        """Sum the maps over boxes (N, R, 4) in pixels, inside the map: (N, S, R)."""
        corners = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3]].unflatten(-1, (4, 2))
        grid = corners / self._size * 2 - 1
        # between pixel borders the sums are bilinear
        at = F.grid_sample(self._sums, grid, mode='bilinear', align_corners=True)
        top_left, top_right, bottom_left, bottom_right = at.unbind(dim=-1)
        return bottom_right - top_right - bottom_left + top_left


def area(boxes: Tensor) -> Tensor:
    """Area of boxes (..., 4), 0 for one without a size."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)
