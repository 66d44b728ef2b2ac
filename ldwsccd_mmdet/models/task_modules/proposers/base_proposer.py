"""What all proposers share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.ops import nms
from mmdet.utils import InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from ....errors import check_argument
from ...utils import restored_images


class BaseProposer(ABC):
    """Regions of a batch in which a cell may lie: no weights, no gradient, no classes.

    Args:
        max_per_img: Regions an image at most, >= 1.
        nms_iou: Regions of an image overlap each other by at most this IoU, in (0, 1]; 1 keeps all.
        min_size: Regions less wide or high than this are left out, pixels of the batch tensor.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, max_per_img: int = 300, nms_iou: float = 0.7, min_size: float = 4.0) -> None:
        self._check('max_per_img', max_per_img, max_per_img >= 1, 'a whole number of at least 1')
        self._check('nms_iou', nms_iou, 0 < nms_iou <= 1, 'a number in (0, 1]')
        self._check('min_size', min_size, min_size > 0, 'a number of pixels above 0')
        self.max_per_img = int(max_per_img)
        self.nms_iou = nms_iou
        self.min_size = min_size

    def _check(self, name: str, value: Any, right: bool, expected: str) -> None:
        """Raise one error that names an argument that is outside its range."""
        check_argument(right, f'{type(self).__name__}.{name}', expected, value)

    @abstractmethod
    def __call__(
        self, batch_inputs: Tensor, batch_img_metas: list[dict], data_preprocessor: Any = None
    ) -> InstanceList:
        """Propose regions.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            batch_img_metas: Per image ``img_shape`` (h, w), to which boxes are clipped, and what
                the proposer says besides.
            data_preprocessor: What normalised the images: its ``mean`` and ``std``.

        Returns:
            Per image ``bboxes`` (R, 4), x1, y1, x2, y2 in pixels of the batch tensor, and
            ``scores`` (R,), falling, of no unit; on the device of ``batch_inputs``.
        """

    def select(self, bboxes: Tensor, scores: Tensor, img_shape: Sequence[int]) -> InstanceData:
        """Clip, leave out the small, suppress near duplicates, keep the best.

        Args:
            bboxes: (n, 4) in pixels of the batch tensor.
            scores: (n,).
            img_shape: Height and width of the image without padding.
        """
        height, width = img_shape[:2]
        limits = bboxes.new_tensor([width, height, width, height])
        bboxes = torch.minimum(bboxes.clamp(min=0), limits)
        keep = ((bboxes[:, 2:] - bboxes[:, :2]) >= self.min_size).all(dim=1)
        bboxes, scores = bboxes[keep], scores[keep]
        order = scores.sort(descending=True, stable=True).indices
        if self.nms_iou < 1 and len(order):
            # NMS is quadratic; what it could still need lies among the first few
            order = order[: 8 * self.max_per_img]
            kept = nms(bboxes[order].float(), scores[order].float(), self.nms_iou)[1]
            order = order[kept]
        order = order[: self.max_per_img]
        return InstanceData(bboxes=bboxes[order], scores=scores[order])


class ImageProposer(BaseProposer):
    """Proposes from the picture itself, by an algorithm that takes one 8-bit RGB image."""

    @abstractmethod
    def propose(self, image: np.ndarray, scale: tuple[float, float]) -> tuple[np.ndarray, ...]:
        """Propose regions of one image.

        Args:
            image: RGB, uint8 (h, w, 3).
            scale: Pixels of ``image`` per pixel of the image file, along x and along y.

        Returns:
            Boxes (n, 4), x1, y1, x2, y2 in pixels of ``image``, and scores (n,); float32.
        """

    @torch.no_grad()
    def __call__(
        self, batch_inputs: Tensor, batch_img_metas: list[dict], data_preprocessor: Any = None
    ) -> InstanceList:
        """See :meth:`BaseProposer.__call__`; ``scale_factor`` of the metas is used if it is there.

        Raises:
            ConfigError: If there is no ``data_preprocessor`` to undo the normalisation of.
        """
        pictures = restored_images(batch_inputs, data_preprocessor, type(self).__name__)
        images = pictures.permute(0, 2, 3, 1).cpu().numpy()
        results = []
        for image, meta in zip(images, batch_img_metas, strict=True):
            height, width = meta['img_shape'][:2]
            scale = tuple(meta.get('scale_factor') or (1.0, 1.0))
            found = self.propose(np.ascontiguousarray(image[:height, :width]), scale[:2])
            bboxes, scores = (torch.from_numpy(array).to(batch_inputs.device) for array in found)
            results.append(self.select(bboxes, scores, (height, width)))
        return results
