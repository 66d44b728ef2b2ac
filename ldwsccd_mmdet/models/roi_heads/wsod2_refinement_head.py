"""MIL head of WSOD2: the picture's own evidence beside the head's confidence."""

from typing import Any

import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import ConfigType
from torch import Tensor

from ...errors import ConfigError, check_argument
from ..losses.objectness_distillation import (
    objectness_box_loss,
    objectness_decay,
    objectness_weights,
    regression_references,
    top_down_confidence,
)
from ..losses.refinement_loss import SeedMatch
from ..utils import training_progress
from .mil_refinement_head import MILRefinementHead, Objectness, RegionBags


@MODELS.register_module()
class WSOD2RefinementHead(MILRefinementHead):
    r"""MIL head with objectness distillation (WSOD2; Zeng et al., ICCV 2019).

    Classification alone is content with the part of an object that tells its class. Here a region
    also counts for what the picture says of it, :math:`O_{bu}`: are its borders those of an object?
    Equations are numbered as in that paper.

    .. math::
        L_{ref}^k &= \frac{1}{|R|} \sum_r w_r^k \, CE(p_r^k, \hat p_r^k) && \text{(3)} \\
        w_r^k &= \alpha O_{bu}(r') + (1 - \alpha) O_{td}^k(r) && \text{(8)} \\
        O_{td}^k(r) &= \sum_{c} p_{rc}^{k-1} \hat p_{rc}^k && \text{(5)} \\
        L_{box} &= \frac{1}{|R_{pos}|} \sum_{r \in R_{pos}} w_r^K \,
        \mathrm{smooth}_{L_1}(t_r - \hat t_r) && \text{(6)} \\
        \hat r &= \arg\max_{m \in R_{pos} : IoU(m, r) > T_{iou}} w_m^K && \text{(7)} \\
        L &= L_{base} + \lambda_1 \sum_k L_{ref}^k + \lambda_2 L_{box} && \text{(9)}

    :math:`r'` is the region, moved by its :math:`t_r`; :math:`\alpha` falls from 1 to 0 with the
    training (:func:`objectness_decay`), so that what the picture knows of borders passes into the
    network. The print has a minus too many in eq. 3. :math:`L_{base}` is eq. 15 of LD-WSCCD,
    :math:`\lambda_1` is ``loss_weight.refine``, :math:`\lambda_2` ``loss_weight.box`` (0.3).

    Beyond the print: regions of a box that an image has count with the probability that it is a
    cell, and move to it, as what is known needs no evidence. A region that the plain head leaves
    out (``ignore_iou``, an image without a class) stays out.

    Args:
        objectness: Config of :math:`O_{bu}`: :class:`SuperpixelStraddling` (default) or
            :class:`EdgeDensity`.
        objectness_warmup: Share of the training in which :math:`\alpha` is 0, in [0, 1]: the first
            2,000 of 80,000 iterations in the paper.
        reg_stages: See :class:`MILRefinementHead`; at least 1, the last stage has the boxes.
        loss_weight: See :class:`MILRefinementHead`; ``box`` is 0.3 unless given.
        **kwargs: As :class:`MILRefinementHead`. The paper's seeds are
            ``dict(type='ThresholdSeeds', relative_thr=1e-6, score_thr=0.7, nms_iou=0.3)``:
            :math:`T_{conf}`, :math:`T_{nms}`; its :math:`T_{iou}` is ``fg_iou``.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self,
        objectness: ConfigType | None = None,
        objectness_warmup: float = 0.025,
        reg_stages: int = 1,
        loss_weight: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        for name, value, fine, expected in (
            ('objectness_warmup', objectness_warmup, 0 <= objectness_warmup <= 1, 'in [0, 1]'),
            ('reg_stages', reg_stages, reg_stages >= 1, 'at least 1'),
        ):
            check_argument(fine, f'mil_head.{name}', f'a number {expected}', value)
        super().__init__(
            reg_stages=reg_stages, loss_weight={'box': 0.3, **(loss_weight or {})}, **kwargs
        )
        self.objectness_warmup = objectness_warmup
        self.objectness = TASK_UTILS.build(objectness or dict(type='SuperpixelStraddling'))

    @property
    def alpha(self) -> float:
        r"""The :math:`\alpha` of eq. 8 in this iteration."""
        return objectness_decay(training_progress(), self.objectness_warmup)

    def see(
        self, batch_inputs: Tensor, batch_img_metas: list[dict], data_preprocessor: Any
    ) -> Objectness:
        """Look at the pictures, see :meth:`MILRefinementHead.see`."""
        if self.alpha == 0:
            return lambda regions: torch.zeros_like(regions[..., 0])
        return self.objectness(batch_inputs, data_preprocessor)

    def _objectness(
        self, objectness: Objectness | None, regions: Tensor, deltas: list[Tensor]
    ) -> Tensor:
        r""":math:`O_{bu}(r')`, (N, R), without gradient."""
        if objectness is None:
            raise ConfigError(
                'WSOD2RefinementHead: its losses need what see() says of the pictures as '
                'objectness, found None; call see(batch_inputs, metas, data_preprocessor) before'
            )
        moved = self.bbox_coder.decode(
            regions.flatten(0, 1), deltas[-1].detach().to(regions).flatten(0, 1)
        )
        return objectness(moved.view_as(regions))

    def targets(self, bags: RegionBags, scores: Tensor) -> SeedMatch:
        """Eq. 3, 5 and 8, see :meth:`MILRefinementHead.targets`."""
        match = super().targets(bags, scores)
        assert bags.objectness is not None
        top_down = top_down_confidence(scores, match.labels, match.weights)
        weights = objectness_weights(bags.objectness, top_down, self.alpha)
        taught = match.weights > 0
        weights = torch.where(self._known(bags, match), match.weights, weights)
        return match._replace(weights=weights * taught)

    def box_loss(self, deltas: Tensor, bags: RegionBags, match: SeedMatch) -> Tensor:
        """Eq. 6 and 7, see :meth:`MILRefinementHead.box_loss`."""
        positive = (match.labels < self.num_classes) & (match.weights > 0)
        references = regression_references(bags.regions, match.weights, positive, self.fg_iou)
        known = self._known(bags, match)[..., None]
        references = torch.where(known, match.bboxes, references)
        targets, positive = self.encoded(bags.regions, references, positive)
        return objectness_box_loss(deltas, targets, match.expected_weights, positive)

    @staticmethod
    def _known(bags: RegionBags, match: SeedMatch) -> Tensor:
        """Whether a region's seed is a box that the image has, (N, R)."""
        return match.seeds < (0 if bags.known is None else bags.known.bboxes.shape[1])
