"""Multiple-instance head: learns from the classes of an image which of its regions show them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from mmcv.ops import RoIPool
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import ConfigType, InstanceList, OptMultiConfig
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...errors import ConfigError, check_argument
from ...ops import is_stand_in
from ..losses.mil_loss import image_level_loss, mil_scores
from ..losses.refinement_loss import (
    SeedMatch,
    box_refinement_loss,
    match_seeds,
    refinement_loss,
)
from ..task_modules.seeds import Seeds, join_seeds
from ..utils import RegionBatch, no_autocast, probabilities, refuse_old_arguments
from .score_join import ScoreJoin

LOSS_WEIGHT = dict(mil=1.0, refine=1.0, box=1.0)
ROI_EXTRACTOR = dict(
    type='SingleRoIExtractor',
    roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
    out_channels=512,
    featmap_strides=[8],
)
INIT_CFG = [
    dict(type='Xavier', layer='Linear', distribution='uniform'),
    dict(
        type='Normal',
        std=0.01,
        override=[dict(name='fc_cls'), dict(name='fc_det'), dict(name='fc_refine')],
    ),
    dict(type='Normal', std=0.001, override=[dict(name='fc_box')]),
]
#: Arguments of earlier versions, and what to write in their place.
INSTEAD = dict(
    mil_loss_weight='write loss_weight=dict(mil=...)',
    refine_loss_weight='write loss_weight=dict(refine=...)',
    first_stage_weight='write loss_weight=dict(refine=(..., 1, 1)), one number a stage',
    reg_loss_weight='write loss_weight=dict(box=...)',
    reg_class_agnostic='leave it out, a region has one box for all classes',
    bbox_coder='leave it out, boxes are encoded as in Faster R-CNN',
    pseudo_seeds='leave it out, pseudo-boxes are those of ThresholdSeeds(relative_thr=0.5)',
    preset='take the dict mil_oicr of configs/_base_/parts/mil_oicr.py, or leave it out',
)


@dataclass
class RegionLogits:
    """What the head says of the regions of a batch, R of them in all.

    Attributes:
        cls_logits: Classification stream (R, C).
        det_logits: Detection stream (R, C).
        refine_logits: K stages (R, C + 1), background last.
        bbox_deltas: The boxes of the last ``reg_stages`` stages, (R, 4), encoded.
    """

    cls_logits: Tensor
    det_logits: Tensor
    refine_logits: list[Tensor]
    bbox_deltas: list[Tensor]

    @cached_property
    def stage_probs(self) -> list[Tensor]:
        """Class probabilities of the K stages, (R, C + 1), without gradient, at least float32."""
        with no_autocast(self.cls_logits):
            # classes first: ten times faster on a CPU
            return [
                _at_least_float32(logits.detach()).t().contiguous().softmax(dim=0).t()
                for logits in self.refine_logits
            ]

    @property
    def mean_probs(self) -> Tensor:
        """Mean of :attr:`stage_probs`."""
        return torch.stack(self.stage_probs).mean(dim=0)


@dataclass
class RegionBags:
    """The regions of a batch, padded to R an image, and what is known of them.

    Attributes:
        regions: (N, R, 4), x1, y1, x2, y2 in pixels of the batch tensor.
        present: Boolean (N, C), true where the class occurs in the image.
        valid: Boolean (N, R), false for padding; None where there is none.
        known: The boxes that an image has, as seeds; None for none.
        objectness: (N, R), what the picture itself says of a region; None for nothing.
    """

    regions: Tensor
    present: Tensor
    valid: Tensor | None
    known: Seeds | None
    objectness: Tensor | None = None


#: What a picture says of regions (N, R, 4): (N, R), in [0, 1].
Objectness = Callable[[Tensor], Tensor]


@MODELS.register_module()
class MILRefinementHead(BaseModule):
    r"""MIL head with K refinement stages, eq. 15 and 16 (WSDDN + OICR).

    Features of the proposals go through two fully connected layers and then to two MIL streams over
    C classes (eq. 15) and K stages over C + 1 classes (eq. 16). Stage k learns from stage k - 1,
    stage 1 from the MIL scores; targets carry no gradient. The loss of the head is

    .. math::
        L = w_{mil} L_{cls} + \sum_{k=1}^{K} w_{ref}^{(k)} L_{ref}^{(k)}
        + w_{box} \sum_{k > K - K_{box}} L_{box}^{(k)}

    averaged over images. A batch is treated at once, regions of different images never meet: a
    batch of n equals the mean of its n singles.

    With the mined seed alone, eq. 16 teaches that all cells of a class but one are background.
    Beyond the print, ``gt_seeds`` (the default) makes the boxes that an image has seeds of weight
    1. One that is a cell with probability p only teaches by its expected loss (:func:`match_seeds`,
    :func:`refinement_loss`).

    Args:
        num_classes: C, without background.
        bbox_roi_extractor: mmdet RoI extractor; its ``featmap_strides`` are those of the first
            levels of the neck. Levels of unequal channels need a ``GenericRoIExtractor`` with
            ``aggregation='concat'``. mmcv's compiled RoIPool runs on a GPU only; on a CPU RoIAlign
            with ``pool_mode='max'`` comes close, and the operators in plain torch have RoIPool.
        num_stages: K >= 1. Not in the paper's print; 3 is OICR's.
        fg_iou: IoU with a seed from which on a region takes its class, in [0, 1]; 0.5 is OICR's.
        ignore_iou: Regions whose IoU with every seed is below this are left out of eq. 16, in
            [0, 1]; 0 leaves out none, 0.1 is PCL's.
        fc_out_channels: Width of the two shared fully connected layers; 4096 is OICR's.
        dropout: Dropout after each of them, in [0, 1).
        seeds: Config of what chooses the seeds: :class:`TopSeeds` (default; OICR),
            :class:`ThresholdSeeds` or :class:`MISTSeeds`.
        gt_seeds: Whether the boxes that an image has are seeds. A mined seed stands beside them
            where its IoU with each is below ``fg_iou``. The print has mined seeds only.
        image_loss_reduction: 'mean' or 'sum' of eq. 15 over classes; 'sum' is OICR's.
        reg_stages: :math:`K_{box}`, how many of the last stages learn to move boxes to their seed,
            in [0, K] (Yang et al., ICCV 2019; MIST). A region has one box for all classes.
        loss_weight: Weights >= 0, each 1 unless given: ``mil`` (:math:`w_{mil}`), ``refine``
            (:math:`w_{ref}`, one number, or one a stage; some codes that follow OICR have 3 for
            the first) and ``box`` (:math:`w_{box}`).
        roi_chunk_size: Regions whose pooled features are in memory at once, >= 1. A batch with more
            is pooled chunk by chunk, and again for the gradient. None never does.
        init_cfg: Initialisation; by default small normal weights for the streams and stages.
        **old: Arguments of earlier versions, which an error explains.

    Raises:
        ConfigError: If an argument is outside its range.

    Example:
        >>> head = MILRefinementHead(
        ...     num_classes=2,
        ...     bbox_roi_extractor=dict(
        ...         type='SingleRoIExtractor',
        ...         roi_layer=dict(type='RoIAlign', output_size=2, sampling_ratio=1),
        ...         out_channels=4,
        ...         featmap_strides=[8],
        ...     ),
        ...     fc_out_channels=8,
        ... )
        >>> feats = (torch.rand(1, 4, 8, 8),)  # of an image of 64 x 64 pixels
        >>> regions = [torch.tensor([[0.0, 0.0, 16.0, 16.0], [32.0, 32.0, 56.0, 56.0]])]
        >>> losses = head.loss(feats, regions, torch.tensor([[1.0, 0.0]]))  # class 0 occurs
        >>> sorted(losses)
        ['loss_mil', 'loss_refine_1', 'loss_refine_2', 'loss_refine_3']
    """

    def __init__(
        self,
        num_classes: Any = None,
        bbox_roi_extractor: ConfigType | None = None,
        num_stages: int = 3,
        fg_iou: float = 0.5,
        ignore_iou: float = 0.0,
        fc_out_channels: int = 1024,
        dropout: float = 0.5,
        seeds: ConfigType | None = None,
        gt_seeds: bool = True,
        image_loss_reduction: str = 'mean',
        reg_stages: int = 0,
        loss_weight: dict[str, Any] | None = None,
        roi_chunk_size: int | None = 4096,
        init_cfg: OptMultiConfig = None,
        **old: Any,
    ) -> None:
        super().__init__(init_cfg=INIT_CFG if init_cfg is None else init_cfg)
        refuse_old_arguments('mil_head', old, INSTEAD)
        self.num_classes = num_classes
        self.num_stages = num_stages
        self.fg_iou = fg_iou
        self.ignore_iou = ignore_iou
        self.gt_seeds = gt_seeds
        self.image_loss_reduction = image_loss_reduction
        self.roi_chunk_size = roi_chunk_size
        self._check_arguments(reg_stages)
        self.loss_weight = self._loss_weight(loss_weight or {})
        self.choose_seeds = TASK_UTILS.build(seeds or dict(type='TopSeeds'))
        self.choose_pseudo_boxes = TASK_UTILS.build(dict(type='ThresholdSeeds', relative_thr=0.5))
        self.bbox_coder = TASK_UTILS.build(
            dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2])
        )
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor or ROI_EXTRACTOR)
        self._init_layers(fc_out_channels, dropout, reg_stages)

    @property
    def num_classifiers(self) -> int:
        """How many classifiers over C + 1 classes there are: the K stages."""
        return self.num_stages

    @property
    def _classifiers(self) -> str:
        """Their number, for messages."""
        return f'num_stages = {self.num_stages}'

    def _check_arguments(self, reg_stages: int) -> None:
        check_argument(
            isinstance(self.num_classes, int) and self.num_classes >= 1,
            'mil_head.num_classes',
            'the number of classes (without background)',
            self.num_classes,
            'set it to model.bbox_head.num_classes',
        )
        _check(self.num_stages >= 1, 'num_stages', '>= 1', self.num_stages)
        for name in ('fg_iou', 'ignore_iou'):
            value = getattr(self, name)
            _check(0 <= value <= 1, name, 'a number in [0, 1]', value)
        reduction, chunk = self.image_loss_reduction, self.roi_chunk_size
        fine = reduction in ('mean', 'sum')
        _check(fine, 'image_loss_reduction', "'mean' or 'sum'", reduction)
        expected = f'a number in [0, {self._classifiers}]'
        _check(0 <= reg_stages <= self.num_classifiers, 'reg_stages', expected, reg_stages)
        _check(chunk is None or chunk >= 1, 'roi_chunk_size', 'None or >= 1', chunk)

    def _loss_weight(self, given: dict[str, Any]) -> dict[str, Any]:
        """Complete the weights; ``refine`` becomes one a stage."""
        unknown = sorted(set(given) - set(LOSS_WEIGHT))
        _check(not unknown, 'loss_weight', f'the keys {", ".join(LOSS_WEIGHT)}', unknown)
        weights: dict[str, Any] = {**LOSS_WEIGHT, **given}
        refine = weights['refine']
        single, stages = isinstance(refine, (int, float)), self.num_classifiers
        weights['refine'] = refine = [refine] * stages if single else list(refine)
        expected = f'one number, or {self._classifiers}'
        _check(len(refine) == stages, 'loss_weight.refine', expected, refine)
        for name, value in weights.items():
            # a NaN passes: the first loss says so by its name
            negative = any(weight < 0 for weight in (value if name == 'refine' else [value]))
            _check(not negative, f'loss_weight.{name}', '>= 0', given.get(name))
        return weights

    def _init_layers(self, channels: int, dropout: float, reg_stages: int) -> None:
        height, width = self.bbox_roi_extractor.roi_layers[0].output_size
        self.shared_fcs = nn.Sequential(
            nn.Flatten(),
            nn.Linear(self.bbox_roi_extractor.out_channels * height * width, channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        #: Joins the scores of the dense head with those of this one at test.
        self.score_join = ScoreJoin(self.num_classes)
        self.fc_cls = nn.Linear(channels, self.num_classes)
        self.fc_det = nn.Linear(channels, self.num_classes)
        self.fc_refine = nn.ModuleList(
            nn.Linear(channels, self.num_classes + 1) for _ in range(self.num_classifiers)
        )
        self.fc_box = nn.ModuleList(nn.Linear(channels, 4) for _ in range(reg_stages))

    def _region_features(self, feats: Sequence[Tensor], bboxes: Sequence[Tensor]) -> Tensor:
        """Features (sum of R_i, D) of the regions of a batch."""
        # float32: bf16 would round the boxes' corners to whole pixels and more; contiguous: mmcv's
        # RoIAlign on the CPU silently misreads a channels_last map
        used = feats[: self.bbox_roi_extractor.num_inputs]
        is_roi_pool = isinstance(self.bbox_roi_extractor.roi_layers[0], RoIPool)
        if is_roi_pool and used[0].device.type == 'cpu' and not is_stand_in():
            raise ConfigError(
                'mil_head.bbox_roi_extractor.roi_layer: RoIPool of mmcv needs a GPU, found maps on '
                "the CPU; take dict(type='RoIAlign', output_size=..., pool_mode='max') there, or "
                'mmcv-lite, for which ldwsccd_mmdet.ops has RoIPool'
            )
        maps = tuple(_at_least_float32(feat).contiguous() for feat in used)
        rois = bbox2roi([boxes.detach() for boxes in bboxes]).to(maps[0])
        if self.roi_chunk_size is None or len(rois) <= self.roi_chunk_size:
            return self._pool(rois, *maps)
        chunks = rois.split(self.roi_chunk_size)
        if not torch.is_grad_enabled():
            return torch.cat([self._pool(chunk, *maps) for chunk in chunks])
        return torch.cat(
            [checkpoint(self._pool, chunk, *maps, use_reentrant=False) for chunk in chunks]
        )

    def _pool(self, rois: Tensor, *maps: Tensor) -> Tensor:
        with no_autocast(rois):
            pooled = self.bbox_roi_extractor(maps, rois)
        return self.shared_fcs(pooled)

    def forward(self, feats: Sequence[Tensor], bboxes: Sequence[Tensor]) -> RegionLogits:
        """Compute the logits of all regions of a batch.

        Args:
            feats: The student's maps, one a level; those of ``featmap_strides`` are used.
            bboxes: Per image (R_i, 4), x1, y1, x2, y2 in pixels of the padded batch tensor.

        Returns:
            The logits of the sum of R_i regions, image after image.

        Raises:
            ConfigError: If the RoI layer does not run on the maps' device.
        """
        x = self._region_features(feats, bboxes)
        return RegionLogits(
            self.fc_cls(x),
            self.fc_det(x),
            [fc(x) for fc in self.fc_refine],
            [fc(x) for fc in self.fc_box],
        )

    def see(
        self, batch_inputs: Tensor, batch_img_metas: list[dict], data_preprocessor: Any
    ) -> Objectness | None:
        """Look at the pictures of a batch, before the losses; this head has no need of it.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            batch_img_metas: Per image its meta information.
            data_preprocessor: What normalised them.

        Returns:
            What :meth:`loss_by_feat` takes as ``objectness``.
        """
        return None

    def loss(
        self,
        feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
        image_labels: Tensor,
        gt_instances: InstanceList | None = None,
        objectness: Objectness | None = None,
    ) -> dict[str, Tensor]:
        """Compute eq. 15 and 16 for a batch: :meth:`forward` and :meth:`loss_by_feat`."""
        logits = self(feats, bboxes)
        return self.loss_by_feat(logits, bboxes, image_labels, gt_instances, objectness)

    def loss_by_feat(
        self,
        logits: RegionLogits,
        bboxes: Sequence[Tensor],
        image_labels: Tensor,
        gt_instances: InstanceList | None = None,
        objectness: Objectness | None = None,
    ) -> dict[str, Tensor]:
        """Compute eq. 15 and 16 for a batch.

        Args:
            logits: Of :meth:`forward`, for the same ``bboxes``.
            bboxes: Per image (R_i, 4) proposals in pixels of the padded batch tensor; R_i may be 0.
            image_labels: (N, C), the probability that the class occurs in the image: 1 or 0 where
                it is known. Classes above 0.5 choose seeds.
            gt_instances: Per image the boxes that are known, ``bboxes`` (n, 4), ``labels`` (n,) and
                perhaps ``probs`` (n,), n >= 0; seeds with ``gt_seeds``, else not looked at.
            objectness: Of :meth:`see`, for the same images.

        Returns:
            ``loss_mil``, ``loss_refine_1`` to ``loss_refine_K`` and, of the last ``reg_stages``
            stages, ``loss_refine_box_k``: scalars, float32 (float64 for float64 logits). An image
            without a region adds 0 to each; all are connected to the graph.

        Raises:
            ValueError: If ``image_labels`` is not (N, C).
        """
        batch = self._batch(bboxes, image_labels)
        losses, scores = self._mil_loss(logits, batch, image_labels)
        regions = self._regions(bboxes, batch, scores)
        deltas = [batch.pad(x) for x in logits.bbox_deltas]
        bags = RegionBags(
            regions,
            image_labels > 0.5,
            batch.valid,
            self._known_seeds(gt_instances, regions) if self.gt_seeds else None,
            self._objectness(objectness, regions, deltas),
        )
        probs: list[Tensor] = []
        first_with_box = self.num_classifiers - len(deltas)
        for stage, stage_logits in enumerate(logits.refine_logits):
            match = self.targets(bags, self.teacher_scores(scores, probs))
            weight = self.loss_weight['refine'][stage]
            losses[f'loss_refine_{stage + 1}'] = weight * refinement_loss(
                batch.pad(stage_logits), match.labels, match.weights, batch.valid, match.probs
            )
            if stage >= first_with_box:
                loss = self.box_loss(deltas[stage - first_with_box], bags, match)
                losses[f'loss_refine_box_{stage + 1}'] = self.loss_weight['box'] * loss
            probs.append(batch.pad(logits.stage_probs[stage]))
        return losses

    def _mil_loss(
        self, logits: RegionLogits, batch: RegionBatch, image_labels: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Eq. 15, and the scores (N, R, C) of the regions, without gradient."""
        valid = batch.valid
        scores, image_scores = mil_scores(
            batch.pad(logits.cls_logits), batch.pad(logits.det_logits), valid
        )
        per_class = image_level_loss(image_scores, image_labels, reduction='none')
        if valid is not None:
            per_class = per_class * valid.any(dim=1, keepdim=True)
        if self.image_loss_reduction == 'sum':
            per_class = per_class * self.num_classes
        return dict(loss_mil=self.loss_weight['mil'] * per_class.mean()), scores.detach()

    def teacher_scores(self, mil: Tensor, probs: list[Tensor]) -> Tensor:
        """Scores that teach the next stage: those of the one before it, for the first the MIL's.

        Args:
            mil: (N, R, C).
            probs: Of the stages that came before, (N, R, C + 1) each.
        """
        return probs[-1] if probs else mil

    @property
    def overlaps(self) -> tuple[float, float]:
        """The ``fg_iou`` and ``ignore_iou`` of this iteration."""
        return self.fg_iou, self.ignore_iou

    def targets(self, bags: RegionBags, scores: Tensor) -> SeedMatch:
        """What the regions learn from the scores (N, R, >= C) of the stage before, eq. 16."""
        seeds = self.choose_seeds(bags.regions, scores, bags.present, bags.valid)
        if bags.known is not None:
            seeds = join_seeds(bags.known, seeds, self.fg_iou)
        return match_seeds(bags.regions, seeds, self.num_classes, *self.overlaps, bags.valid)

    def box_loss(self, deltas: Tensor, bags: RegionBags, match: SeedMatch) -> Tensor:
        """Loss of one stage's boxes (N, R, 4), encoded, towards the seeds of their regions."""
        positive = match.labels < self.num_classes
        targets, moved = self.encoded(bags.regions, match.bboxes, positive)
        weights = match.expected_weights * moved
        return box_refinement_loss(deltas, targets, match.labels, weights, bags.valid)

    def encoded(self, regions: Tensor, bboxes: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """The way (N, R, 4) from regions to boxes, and where there is one, (N, R).

        That is ``where`` (N, R) it is asked for, and both have a size.
        """
        size = torch.minimum(regions[..., 2:] - regions[..., :2], bboxes[..., 2:] - bboxes[..., :2])
        where = where & (size > 0).all(dim=-1)
        # a box without a size has no logarithm: take any in its place
        unit = regions.new_tensor([0, 0, 1, 1])
        targets = self.bbox_coder.encode(
            torch.where(where[..., None], regions, unit).flatten(0, 1),
            torch.where(where[..., None], bboxes, unit).flatten(0, 1),
        )
        return targets.view_as(regions), where

    def _objectness(
        self, objectness: Objectness | None, regions: Tensor, deltas: list[Tensor]
    ) -> Tensor | None:
        """What the pictures say of the regions (N, R, 4), here nothing."""
        return None

    @staticmethod
    def _known_seeds(gt_instances: InstanceList | None, regions: Tensor) -> Seeds | None:
        """The boxes that are known as seeds, and how likely each is a cell."""
        counts = [len(instances) for instances in gt_instances or []]
        if gt_instances is None or not any(counts):
            return None
        batch = RegionBatch(counts, regions.device)
        bboxes = batch.pad(torch.cat([instances.bboxes for instances in gt_instances]))
        labels = batch.pad(torch.cat([instances.labels for instances in gt_instances]))
        probs = None
        if any('probs' in instances for instances in gt_instances):
            probs = torch.cat([probabilities(instances) for instances in gt_instances])
            probs = batch.pad(probs).to(regions)
        weights = batch.mask.to(regions)
        return Seeds(bboxes.to(regions), labels, weights, batch.mask, probs)

    @torch.no_grad()
    def pseudo_boxes(
        self, logits: RegionLogits, bboxes: Sequence[Tensor], image_labels: Tensor
    ) -> InstanceList:
        """Boxes that the refined stages find for the classes of each image.

        ``ThresholdSeeds(relative_thr=0.5)`` chooses them by the mean probability of the K stages.

        Args:
            logits: Of :meth:`forward`, for the same ``bboxes``.
            bboxes: Per image (R_i, 4), in pixels of the padded batch tensor; R_i may be 0.
            image_labels: (N, C), 1 where the class occurs in the image, else 0.

        Returns:
            Per image ``bboxes`` (n, 4) among its regions, at least 1 px wide and high, ``labels``
            (n,) among its classes, and ``scores`` (n,) in (0, 1], without gradient.

        Raises:
            ValueError: If ``image_labels`` is not (N, C).
        """
        batch = self._batch(bboxes, image_labels)
        probs = batch.pad(logits.mean_probs)
        regions = self._regions(bboxes, batch, probs)
        # a region that clipping left without a size could not be encoded as anyone's target
        valid = batch.mask & (regions[..., 2:] - regions[..., :2] >= 1).all(dim=-1)
        seeds = self.choose_pseudo_boxes(regions, probs, image_labels > 0, valid)
        keep = seeds.valid & (seeds.scores > 0) & valid.any(dim=1, keepdim=True)
        sizes = keep.sum(dim=1).tolist()
        return [
            InstanceData(bboxes=box, labels=label, scores=score)
            for box, label, score in zip(
                seeds.bboxes[keep].split(sizes),
                seeds.labels[keep].split(sizes),
                seeds.scores[keep].split(sizes),
                strict=True,
            )
        ]

    def _batch(self, bboxes: Sequence[Tensor], image_labels: Tensor) -> RegionBatch:
        if image_labels.shape != (len(bboxes), self.num_classes):
            raise ValueError(
                f'MILRefinementHead: image_labels must have shape (N, C) = '
                f'{(len(bboxes), self.num_classes)}, got {tuple(image_labels.shape)}'
            )
        # at least one, padded, region, so that an image without any is no special case
        return RegionBatch([len(boxes) for boxes in bboxes], image_labels.device, min_size=1)

    @staticmethod
    def _regions(bboxes: Sequence[Tensor], batch: RegionBatch, like: Tensor) -> Tensor:
        return batch.pad(torch.cat([boxes.detach() for boxes in bboxes]).to(like))

    @torch.no_grad()
    def predict(
        self, feats: Sequence[Tensor], bboxes: Sequence[Tensor], batch_img_metas: list[dict]
    ) -> InstanceList:
        """Score regions, and move them if the head has learnt to.

        Args:
            feats: The student's maps, one a level.
            bboxes: Per image (R_i, 4) in pixels of the padded batch tensor.
            batch_img_metas: Per image ``img_shape``, to which moved boxes are clipped.

        Returns:
            Per image ``class_probs`` (R_i, C + 1), the mean of the K stages, float32, background
            last, each row summing to 1; and ``bboxes`` (R_i, 4): the given ones, or with
            ``reg_stages`` moved by the mean of these stages.
        """
        logits = self(feats, bboxes)
        sizes = [len(boxes) for boxes in bboxes]
        moved = list(bboxes)
        if logits.bbox_deltas:
            deltas = torch.stack([_at_least_float32(x) for x in logits.bbox_deltas]).mean(dim=0)
            flat = self.bbox_coder.decode(torch.cat(moved).to(deltas), deltas)
            moved = [
                boxes.clamp(min=0).minimum(boxes.new_tensor(meta['img_shape'][1::-1] * 2))
                for boxes, meta in zip(flat.split(sizes), batch_img_metas, strict=True)
            ]
        return [
            InstanceData(bboxes=boxes, class_probs=probs)
            for boxes, probs in zip(moved, logits.mean_probs.split(sizes), strict=True)
        ]


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _check(fine: bool, name: str, expected: str, found: Any) -> None:
    check_argument(fine, f'mil_head.{name}', expected, found)
