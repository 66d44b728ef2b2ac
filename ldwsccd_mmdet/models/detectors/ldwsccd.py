"""LD-WSCCD with a single-stage student."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.models.utils import filter_scores_and_topk, unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from ...errors import ConfigError
from .ldwsccd_mixin import LDWSCCDMixin

SCORE_SOURCES = ('ssd', 'mil', 'fused', 'auto')


@MODELS.register_module()
class LDWSCCD(LDWSCCDMixin, SingleStageDetector):
    r"""LD-WSCCD (Yin et al., IEEE Access): an SSD student, distilled locally and refined by MIL.

    .. math::
        L = L_{ssd} + L_{dis} + L_{cls} + L_{ref} \qquad \text{(eq. 5-16)}

    ``teacher`` with ``distillation``, and ``mil_head``, may each be left out: SSD, SSD + LDM,
    SSD + MIL and LD-WSCCD (Table 4) are four configs. The weights of the student lie under
    ``backbone.``, ``neck.`` and ``bbox_head.``, so a ``SingleStageDetector`` loads its checkpoint.

    ``test_cfg.score_source`` says whose scores the student's boxes get:

    - 'ssd' (default without a MIL head): those of the dense head, by mmdet's own prediction; the
      MIL head is not run.
    - 'mil': the mean of the K refinement stages, on the ``test_cfg.proposal`` best boxes, which
      stages with box regression move.
    - 'fused': on the same boxes :math:`\sqrt{p_{ssd} \, p_{mil}}`, class by class.
    - 'auto' (default with a MIL head): on the same boxes by :class:`ScoreJoin`, whose weights
      :class:`ScoreJoinHook` fits at the end of a training and leaves in the checkpoint; as 'fused'
      where it has not been fitted.

    Args:
        *args: As ``SingleStageDetector``. Any dense head can be distilled; with ``mil_head`` it
            must have ``propose`` as :class:`SSDStudentHead` has, and ``train_cfg.proposal`` says
            how many regions there are.
        **kwargs: As :class:`LDWSCCDMixin` and ``SingleStageDetector``.

    Raises:
        ConfigError: If ``test_cfg.score_source`` is unknown or needs a part that is not there.
    """

    def _check_mil_head(self) -> None:
        super()._check_mil_head()
        if not hasattr(self.bbox_head, 'propose'):
            raise ConfigError(
                'model.bbox_head: expected a head with proposals (type SSDStudentHead) because '
                f'model.mil_head is set, found {type(self.bbox_head).__name__}; set mil_head=None, '
                'or take a two-stage student (type LDWSCCDTwoStage)'
            )
        if self.train_cfg is not None and 'proposal' not in self.train_cfg:
            raise ConfigError(
                'model.train_cfg.proposal: expected dict(nms_pre=..., nms=..., max_per_img=...) '
                'because model.mil_head is set, found none'
            )

    @property
    def num_student_classes(self) -> int:
        """Number of foreground classes of the student."""
        return int(self.bbox_head.num_classes)

    @property
    def score_source(self) -> str:
        """Whose scores the boxes get: 'ssd', 'mil', 'fused' or 'auto'."""
        default = 'ssd' if self.mil_head is None else 'auto'
        source = (self.test_cfg or {}).get('score_source') or default
        if source not in SCORE_SOURCES:
            raise ConfigError(
                f'model.test_cfg.score_source: expected one of {SCORE_SOURCES}, found {source!r}'
            )
        if source != 'ssd' and self.mil_head is None:
            raise ConfigError(
                f'model.test_cfg.score_source: {source!r} needs model.mil_head, found none; set '
                "score_source='ssd'"
            )
        return source

    def student_loss(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of the dense head; of an SSD eq. 5-7."""
        return self.bbox_head.loss(feats, batch_data_samples)

    def student_forward(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> tuple[Any, InstanceList]:
        """Run the dense head, and propose its best boxes."""
        outs = self.bbox_head(feats)
        metas = [sample.metainfo for sample in batch_data_samples]
        return outs, self.bbox_head.propose(*outs, metas, self.train_cfg['proposal'])

    def student_loss_by_feat(
        self, outs: Any, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of the dense head from its forward pass; of an SSD eq. 5-7."""
        instances, ignored, metas = unpack_gt_instances(batch_data_samples)
        return self.bbox_head.loss_by_feat(*outs, instances, metas, ignored)

    @torch.no_grad()
    def find_regions(
        self, feats: Sequence[Tensor], samples: SampleList, max_per_img: int | None = None
    ) -> InstanceList:
        """The dense head's best boxes, see :meth:`LDWSCCDMixin.find_regions`."""
        if not hasattr(self.bbox_head, 'propose'):
            raise ConfigError(
                'model.bbox_head: expected a head that proposes regions (type SSDStudentHead), '
                f'found {type(self.bbox_head).__name__}'
            )
        given = (
            (self.train_cfg or {}).get('proposal') or (self.test_cfg or {}).get('proposal') or {}
        )
        most = max_per_img or given.get('max_per_img', 300)
        cfg = {
            'nms_pre': max(given.get('nms_pre', 1000), 4 * most),
            'nms': given.get('nms', {'type': 'nms', 'iou_threshold': 0.7}),
            'max_per_img': most,
        }
        metas = [sample.metainfo for sample in samples]
        return self.bbox_head.propose(*self.bbox_head(tuple(feats)), metas, cfg)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Detect.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            batch_data_samples: Samples with the images' meta information.
            rescale: Give boxes in pixels of the original image rather than of the batch tensor.

        Returns:
            The samples with ``pred_instances``: ``bboxes`` (n, 4), ``scores`` (n,) falling, and
            ``labels`` (n,).
        """
        source = self.score_source
        if source == 'ssd':
            return super().predict(batch_inputs, batch_data_samples, rescale=rescale)
        metas = [sample.metainfo for sample in batch_data_samples]
        results = []
        for region, meta in zip(self.scored_regions(batch_inputs, metas), metas, strict=True):
            scores = self.joined_scores(region, source)
            results.append(self._select(region.bboxes, scores, meta, rescale))
        return self.add_pred_to_datasample(batch_data_samples, results)

    @torch.no_grad()
    def scored_regions(self, batch_inputs: Tensor, metas: list[dict]) -> InstanceList:
        """Regions with the scores of both heads.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            metas: Per image its meta information.

        Returns:
            Per image ``bboxes`` (R, 4), or (R, C, 4) where the MIL head moves them class by class,
            in pixels of the batch tensor; ``ssd_probs`` and ``mil_probs``, (R, C).
        """
        feats = self.extract_feat(batch_inputs)
        regions = self.bbox_head.propose(
            *self.bbox_head(feats), batch_img_metas=metas, cfg=self.test_cfg['proposal']
        )
        scored = self.mil_head.predict(feats, [region.bboxes for region in regions], metas)
        return [
            InstanceData(
                bboxes=mil.bboxes,
                ssd_probs=region.class_probs[:, :-1],
                mil_probs=mil.class_probs[:, :-1],
            )
            for region, mil in zip(regions, scored, strict=True)
        ]

    def joined_scores(self, regions: InstanceData, source: str) -> Tensor:
        """Scores (R, C) of :meth:`scored_regions` by a ``score_source``."""
        ssd, mil = regions.ssd_probs, regions.mil_probs
        if source in ('ssd', 'mil'):
            return ssd if source == 'ssd' else mil
        return self.mil_head.score_join(ssd, mil) if source == 'auto' else (ssd * mil).sqrt()

    def _select(self, bboxes: Tensor, scores: Tensor, meta: dict, rescale: bool) -> InstanceData:
        """Threshold, NMS and top k of one image, as the SSD head does with its own scores."""
        cfg = self.test_cfg
        scores, labels, keep, _ = filter_scores_and_topk(scores, cfg['score_thr'], cfg['nms_pre'])
        # a region has one box, or one for each class
        bboxes = bboxes[keep] if bboxes.dim() == 2 else bboxes[keep, labels]
        results = InstanceData(bboxes=bboxes, scores=scores, labels=labels)
        return self.bbox_head._bbox_post_process(
            results=results, cfg=cfg, rescale=rescale, img_meta=meta
        )
