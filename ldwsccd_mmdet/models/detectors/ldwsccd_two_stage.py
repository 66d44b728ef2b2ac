"""LD-WSCCD with a two-stage student."""

import copy
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ...errors import ConfigError
from .ldwsccd_mixin import LDWSCCDMixin


@MODELS.register_module()
class LDWSCCDTwoStage(LDWSCCDMixin, TwoStageDetector):
    """LD-WSCCD with a two-stage student, such as Faster R-CNN or Cascade R-CNN.

    Distillation works as in :class:`LDWSCCD`. The regions of the MIL head are the RPN's, of the
    one forward pass that also gives its loss: the ``train_cfg.proposal.max_per_img`` of highest
    objectness. The student's boxes keep the scores of its own RoI head; what the MIL head teaches,
    it teaches the shared features.

    A ``FasterRCNN`` loads the checkpoint.

    Args:
        *args: As ``TwoStageDetector``.
        **kwargs: As :class:`LDWSCCDMixin` and ``TwoStageDetector``; with ``mil_head``,
            ``rpn_head`` and ``train_cfg.proposal=dict(max_per_img=...)`` are needed.

    Raises:
        ConfigError: If ``mil_head`` is given without a ``rpn_head`` or the number of its regions,
            or ``test_cfg.score_source`` is not the student's own.
    """

    roi_head: Any
    rpn_head: Any
    with_rpn: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        source = (self.test_cfg or {}).get('score_source', 'ssd')
        if source != 'ssd':
            raise ConfigError(
                f'model.test_cfg.score_source: {source!r} is for a single-stage student; leave it '
                'out: the boxes of a two-stage student have the scores of its RoI head'
            )

    def _check_mil_head(self) -> None:
        super()._check_mil_head()
        if not self.with_rpn:
            raise ConfigError(
                'model.rpn_head: expected a head that proposes regions because model.mil_head is '
                'set, found None'
            )
        if self.train_cfg is not None and 'proposal' not in self.train_cfg:
            raise ConfigError(
                'model.train_cfg.proposal: expected dict(max_per_img=...), the number of regions '
                'of the MIL head, because model.mil_head is set, found none'
            )

    @property
    def num_student_classes(self) -> int:
        """Number of foreground classes of the student."""
        head = self.roi_head.bbox_head
        return int((head[-1] if isinstance(head, nn.ModuleList) else head).num_classes)

    def student_loss(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of RPN and RoI head."""
        return self._loss_and_rpn(feats, batch_data_samples)[0]

    def loss_and_propose(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> tuple[dict[str, Tensor], InstanceList]:
        """Losses of RPN and RoI head, and the RPN's best boxes."""
        losses, bboxes = self._loss_and_rpn(feats, batch_data_samples)
        limit = self.train_cfg['proposal']['max_per_img']
        return losses, [InstanceData(bboxes=boxes[:limit].detach()) for boxes in bboxes]

    def _loss_and_rpn(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """``TwoStageDetector.loss`` from given maps; also the RPN's boxes, best first."""
        losses: dict[str, Tensor] = {}
        if self.with_rpn:
            # the RPN tells objects from background: one class, 0
            rpn_samples = copy.deepcopy(batch_data_samples)
            for sample in rpn_samples:
                sample.gt_instances.labels = torch.zeros_like(sample.gt_instances.labels)
            rpn_losses, proposals = self.rpn_head.loss_and_predict(
                feats,
                rpn_samples,
                proposal_cfg=self.train_cfg.get('rpn_proposal', self.test_cfg.rpn),
            )
            for name, loss in rpn_losses.items():
                losses[name if 'rpn' in name else f'rpn_{name}'] = loss
        else:
            proposals = [sample.proposals for sample in batch_data_samples]
        bboxes = [proposal.bboxes for proposal in proposals]  # the RoI head takes them out
        losses.update(self.roi_head.loss(feats, proposals, batch_data_samples))
        return losses, bboxes
