"""Regions from the priors of an anchor generator."""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import TASK_UTILS
from mmdet.utils import ConfigType, InstanceList
from torch import Tensor

from .base_proposer import BaseProposer


@TASK_UTILS.register_module()
class PriorProposer(BaseProposer):
    r"""The priors (eq. 4) themselves: those that differ most from what surrounds them, or a grid.

    The contrast of a box B, with B' the box of twice its width and height around it, is

    .. math::
        | \mathrm{mean}_{B} I - \mathrm{mean}_{B' \setminus B} I |

    in units of the normalised image, I being the mean of its three channels.

    Args:
        anchor_generator: Config of mmdet's generator, such as ``model.bbox_head.anchor_generator``.
        rank: ``'contrast'``, or ``'even'``: every k-th prior, so that all places and sizes occur.
        max_per_img: See :class:`BaseProposer`.
        nms_iou: See :class:`BaseProposer`.
        min_size: See :class:`BaseProposer`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self,
        anchor_generator: ConfigType,
        rank: str = 'contrast',
        max_per_img: int = 300,
        nms_iou: float = 0.7,
        min_size: float = 4.0,
    ) -> None:
        super().__init__(max_per_img, nms_iou, min_size)
        self._check('rank', rank, rank in ('contrast', 'even'), "'contrast' or 'even'")
        self.anchor_generator = TASK_UTILS.build(anchor_generator)
        self.rank = rank

    @torch.no_grad()
    def __call__(
        self, batch_inputs: Tensor, batch_img_metas: list[dict], data_preprocessor: Any = None
    ) -> InstanceList:
        """See :meth:`BaseProposer.__call__`; ``data_preprocessor`` is not used."""
        height, width = batch_inputs.shape[-2:]
        sizes = [(-(-height // y), -(-width // x)) for x, y in self.anchor_generator.strides]
        grids = self.anchor_generator.grid_priors(sizes, torch.float32, batch_inputs.device)
        priors = torch.cat(grids)
        if self.rank == 'even':
            scores = self._even(len(priors)).to(priors).expand(len(batch_inputs), -1)
        else:
            scores = self._contrast(batch_inputs, priors)
        return [
            self.select(priors, score, meta['img_shape'])
            for score, meta in zip(scores, batch_img_metas, strict=True)
        ]

    def _even(self, count: int) -> Tensor:
        """Scores (count,) by which the best k are spread evenly, whatever k is."""
        # multiples of the golden ratio, modulo 1: any first k of them lie evenly
        order = (torch.arange(count, dtype=torch.float64) * 0.6180339887498949) % 1
        return (1 - order).float()

    @staticmethod
    def _contrast(batch_inputs: Tensor, priors: Tensor) -> Tensor:
        """Contrast (N, P) of each prior (P, 4) in each image, from one integral image each."""
        height, width = batch_inputs.shape[-2:]
        # float64: a sum over all pixels must resolve the contrast of a small box
        image = batch_inputs.double().mean(dim=1)
        integral = F.pad(image, (1, 0, 1, 0)).cumsum(1).cumsum(2)
        centre, half = (priors[:, 2:] + priors[:, :2]) / 2, (priors[:, 2:] - priors[:, :2]) / 2
        limits = priors.new_tensor([width, height])

        def box_sum(half: Tensor) -> tuple[Tensor, Tensor]:
            x1, y1 = (centre - half).round().clamp(min=0).minimum(limits).long().unbind(dim=1)
            x2, y2 = (centre + half).round().clamp(min=0).minimum(limits).long().unbind(dim=1)
            total = integral[:, y2, x2] - integral[:, y1, x2] - integral[:, y2, x1]
            return total + integral[:, y1, x1], (x2 - x1) * (y2 - y1)

        inner, inner_area = box_sum(half)
        outer, outer_area = box_sum(2 * half)
        ring_area = outer_area - inner_area
        contrast = inner / inner_area.clamp(min=1) - (outer - inner) / ring_area.clamp(min=1)
        return (contrast.abs() * ((inner_area > 0) & (ring_area > 0))).float()
