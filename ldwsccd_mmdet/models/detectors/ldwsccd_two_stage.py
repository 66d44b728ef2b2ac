"""LD-WSCCD with a two-stage student."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.utils import unpack_gt_instances
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

    assigning = {'rpn_head': 'rpn.assigner', 'roi_head': 'rcnn.assigner'}

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
        head: Any = self.roi_head.bbox_head
        last: Any = head[-1] if isinstance(head, nn.ModuleList) else head
        return int(last.num_classes)

    def student_loss(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of RPN and RoI head."""
        outs, _ = self.student_forward(feats, batch_data_samples)
        return self.student_loss_by_feat(outs, feats, batch_data_samples)

    def student_forward(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> tuple[Any, InstanceList]:
        """Run the RPN, if there is one; its best boxes are the MIL head's proposals."""
        if not self.with_rpn:
            return (None, [sample.proposals for sample in batch_data_samples]), []
        outs = self.rpn_head(feats)
        proposals = self.rpn_head.predict_by_feat(
            *outs,
            batch_img_metas=[sample.metainfo for sample in batch_data_samples],
            cfg=self.train_cfg.get('rpn_proposal', self.test_cfg.rpn),
        )
        limit = self.train_cfg.get('proposal', {}).get('max_per_img')
        best = [InstanceData(bboxes=found.bboxes[:limit].detach()) for found in proposals]
        return (outs, proposals), best

    def student_loss_by_feat(
        self, outs: Any, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of RPN and RoI head, as ``TwoStageDetector.loss``, from the RPN's forward pass."""
        rpn_outs, proposals = outs
        losses: dict[str, Tensor] = {}
        if rpn_outs is not None:
            instances, ignored, metas = unpack_gt_instances(batch_data_samples)
            # the RPN tells objects from background: one class, 0
            objects = [
                InstanceData(bboxes=found.bboxes, labels=torch.zeros_like(found.labels))
                for found in instances
            ]
            rpn_losses = self.rpn_head.loss_by_feat(*rpn_outs, objects, metas, ignored)
            for name, loss in rpn_losses.items():
                losses[name if 'rpn' in name else f'rpn_{name}'] = loss
        losses.update(self.roi_head.loss(feats, proposals, batch_data_samples))
        return losses

    @torch.no_grad()
    def find_regions(
        self, feats: Sequence[Tensor], samples: SampleList, max_per_img: int | None = None
    ) -> InstanceList:
        """The RPN's best boxes, see :meth:`LDWSCCDMixin.find_regions`."""
        if not self.with_rpn:
            raise ConfigError(
                'model.rpn_head: expected a head that proposes regions, found none; choose a '
                'config with one'
            )
        given = (
            (self.train_cfg or {}).get('proposal') or (self.test_cfg or {}).get('proposal') or {}
        )
        most = max_per_img or given.get('max_per_img', 300)
        found = self.rpn_head.predict(tuple(feats), samples, rescale=False)
        return [regions[:most] for regions in found]
