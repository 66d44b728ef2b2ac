"""SSD head that trains a batch at once, predicts on mmdet 3.3 and proposes regions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import SSDHead
from mmdet.models.losses import smooth_l1_loss
from mmdet.models.task_modules.assigners import BboxOverlaps2D, MaxIoUAssigner
from mmdet.models.task_modules.prior_generators import anchor_inside_flags
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, InstanceList, OptInstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from ...errors import check_argument
from ..utils import RegionBatch, no_autocast, pad_boxes, pairwise_iou, probabilities

#: Overlap with a box from which on background is beside it, as Fast R-CNN samples background.
BESIDE_IOU = 0.1
# IoUs of boxes and priors that may be in memory at once: 256 MiB, a few times that with their terms
MAX_IOUS = 1 << 26


class _PriorTargets(NamedTuple):
    """What each prior of each image is taught.

    Attributes:
        labels: (N, A), class; ``num_classes`` is background.
        label_weights: (N, A); 0 leaves a prior out.
        share: (N, A), the share of a positive that it is: 1, or the probability of its box.
        positive: Boolean (N, A), whether it matches a box.
        bboxes: (N, A, 4), encoded boxes.
        bbox_weights: (N, A, 4).
        avg_factor: Number of positives, a box that may be a cell counting by its probability; each
            image has at least one.
        uncertain: Boolean (N, A), whether its box may be no cell; None if there is no such box.
    """

    labels: Tensor
    label_weights: Tensor
    share: Tensor
    positive: Tensor
    bboxes: Tensor
    bbox_weights: Tensor
    avg_factor: Tensor
    uncertain: Tensor | None


def _join(parts: Sequence[_PriorTargets]) -> _PriorTargets:
    """The targets of a batch from those of its parts."""
    if len(parts) == 1:
        return parts[0]
    uncertain = None
    if any(part.uncertain is not None for part in parts):
        none = (torch.zeros_like(part.positive) for part in parts)
        uncertain = torch.cat(
            [
                no if part.uncertain is None else part.uncertain
                for part, no in zip(parts, none, strict=True)
            ]
        )
    return _PriorTargets(
        torch.cat([part.labels for part in parts]),
        torch.cat([part.label_weights for part in parts]),
        torch.cat([part.share for part in parts]),
        torch.cat([part.positive for part in parts]),
        torch.cat([part.bboxes for part in parts]),
        torch.cat([part.bbox_weights for part in parts]),
        torch.stack([part.avg_factor for part in parts]).sum(),
        uncertain,
    )


@MODELS.register_module()
class SSDStudentHead(SSDHead):
    r"""SSD head of the student, eq. 4-7.

    Parameters and state dict are those of mmdet's ``SSDHead``. What differs:

    - It predicts on mmdet 3.3, whose ``SSDHead`` raises ``AttributeError: ... no attribute
      'loss_cls'`` in the first validation.
    - Matching and loss treat the whole batch at once, in float32 whatever the autocast:

      .. math::
          L_{ssd} = \frac{1}{N_{pos}} \Big( \sum_{pos} -\log p_{y}
          + \sum_{hard\ neg} -\log p_{bg} \Big)
          + \frac{\alpha}{N_{pos}} \sum_{pos} \mathrm{smooth}_{L_1}(t - t^*)

      The hard negatives of an image are its ``neg_pos_ratio`` (3) x positives background priors of
      highest loss. :math:`N_{pos}` counts the matched priors of the batch, at least 1 an image. An
      image without a matched prior adds 0; the loss stays connected to the graph. With
      ``min_negatives`` m an image has max(3 x positives, m) of them: an empty field teaches, too.
    - With a ``far_weight`` w all background priors of an image that has a positive are negatives;
      those that overlap no box by 0.1 weigh w. A loss of hard negatives settles at scores of
      1 / (1 + ``neg_pos_ratio``): what rises above is pushed down, what lies below is not. Where
      cells have no box, the hardest background is those cells, and cells and background end at
      that score alike (docs/tried.md). Taught by all of the background, a score is the
      probability of a box, which is that of a cell times the share of the cells that have one
      (Elkan and Noto, KDD 2008); where far background weighs less, so do the cells without a box
      (Soft Sampling, Wu et al., BMVC 2019).
    - A box that may be a cell (``gt_instances.probs`` below 1) is taught by its expected loss: a
      prior that matches it is a cell of its class with probability :math:`p`, else background,

      .. math::
          p \, (-\log p_{y}) + (1 - p) (-\log p_{bg})
          + \alpha p \, \mathrm{smooth}_{L_1}(t - t^*)

      It counts as :math:`p` positives, and is no hard negative. Boxes of probability 1 are matched
      first: none of their priors goes to another.
    - :meth:`propose` gives the regions of the MIL head.

    Args:
        num_classes: Foreground classes, without background. Required: mmdet's default of 80 is
            never what a cytologist means.
        *args: As mmdet's ``SSDHead``.
        alpha: :math:`\alpha` of eq. 5, the weight of the box loss, 0 or more; the paper gives no
            number, SSD has 1.
        min_negatives: Hard negatives that an image has at least, 0 or more. 0 is SSD's: a field
            without any box teaches nothing. Above, it says that such a field has no cell: set it
            only where an empty record means that somebody has looked and found none.
        far_weight: See above, in [0, 1]. None: negatives are chosen, as SSD's are.
        **kwargs: As mmdet's ``SSDHead``.

    Raises:
        ConfigError: If ``num_classes`` is missing or not a positive integer, ``alpha`` or
            ``min_negatives`` negative, ``far_weight`` outside its range, or the assigner of
            ``train_cfg`` is another than ``MaxIoUAssigner``.
    """

    def __init__(
        self,
        num_classes: Any = None,
        *args: Any,
        alpha: float = 1.0,
        min_negatives: int = 0,
        far_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        check_argument(
            isinstance(num_classes, int) and num_classes >= 1,
            'bbox_head.num_classes',
            'the number of classes (without background)',
            num_classes,
            'set model.bbox_head.num_classes to len(train_dataloader.dataset.metainfo.classes)',
        )
        for name, value in (('alpha', alpha), ('min_negatives', min_negatives)):
            check_argument(value >= 0, f'bbox_head.{name}', 'a number >= 0', value)
        if far_weight is not None:
            check_argument(
                0 <= far_weight <= 1, 'bbox_head.far_weight', 'a number in [0, 1]', far_weight
            )
        super().__init__(num_classes, *args, **kwargs)
        self._check_assigner()
        self.alpha = alpha
        self.min_negatives = min_negatives
        self.far_weight = far_weight
        # mmdet 3.2 and 3.3 look at this attribute in predict; None means plain softmax
        self.loss_cls = None

    def _check_assigner(self) -> None:
        """Refuse what :meth:`_match` does not do."""
        rule = getattr(self, 'assigner', None)  # training alone has one
        if rule is None:
            return
        key = 'model.train_cfg.assigner'
        check_argument(
            type(rule) is MaxIoUAssigner and type(rule.iou_calculator) is BboxOverlaps2D,
            f'{key}.type',
            'MaxIoUAssigner with its own iou_calculator, which SSDStudentHead does for a whole '
            'batch at once',
            type(rule).__name__,
        )
        check_argument(
            isinstance(rule.neg_iou_thr, (int, float)),
            f'{key}.neg_iou_thr',
            'a number: all background that overlaps no box by as much is negative',
            rule.neg_iou_thr,
        )
        check_argument(
            rule.ignore_iof_thr <= 0,
            f'{key}.ignore_iof_thr',
            '-1: a prior that would match an ignored box is left out in any case',
            rule.ignore_iof_thr,
        )

    #: Boxes may carry ``probs``, the probability that they are a cell of their class.
    takes_probs = True

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: InstanceList,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: OptInstanceList = None,
    ) -> dict[str, Tensor]:
        """Compute eq. 5-7 for a batch.

        Args:
            cls_scores: Per level (N, A_l * (C + 1), H, W).
            bbox_preds: Per level (N, A_l * 4, H, W).
            batch_gt_instances: Per image ``bboxes`` (n, 4) in pixels of the padded batch tensor,
                ``labels`` (n,) and, if some may be no cell, ``probs`` (n,) in [0, 1].
            batch_img_metas: Per image ``img_shape`` and ``pad_shape``.
            batch_gt_instances_ignore: Per image boxes of objects of no known class, or of none:
                priors that would match such a box are no negatives.

        Returns:
            ``loss_cls`` and ``loss_bbox``, float32 scalars.
        """
        priors, targets = self._targets(cls_scores, batch_gt_instances, batch_img_metas)
        logits, deltas = self._flatten(cls_scores, bbox_preds)
        ignored = self._ignored(priors, batch_gt_instances_ignore)
        with no_autocast(logits):
            loss_cls = self._class_loss(logits, targets, ignored)
            if self.reg_decoded_bbox:
                deltas = self.bbox_coder.decode(
                    priors.repeat(len(logits), 1), deltas.flatten(0, 1)
                ).view_as(deltas)
            loss_bbox = smooth_l1_loss(
                deltas,
                targets.bboxes,
                targets.bbox_weights,
                beta=self.train_cfg['smoothl1_beta'],
                avg_factor=targets.avg_factor,
            )
        return dict(loss_cls=loss_cls / targets.avg_factor, loss_bbox=self.alpha * loss_bbox)

    @torch.no_grad()
    def _targets(
        self, cls_scores: list[Tensor], instances: InstanceList, batch_img_metas: list[dict]
    ) -> tuple[Tensor, _PriorTargets]:
        """The priors (A, 4), and what each is taught in each image."""
        anchors, valid_flags = self.get_anchors(
            [featmap.shape[-2:] for featmap in cls_scores],
            batch_img_metas,
            device=cls_scores[0].device,
        )
        priors = torch.cat(anchors[0])
        inside = torch.stack(
            [
                anchor_inside_flags(
                    priors, torch.cat(flags), meta['img_shape'][:2], self.train_cfg.allowed_border
                )
                for flags, meta in zip(valid_flags, batch_img_metas, strict=True)
            ]
        )
        table = max(1, *map(len, instances)) * len(priors)
        step = max(1, MAX_IOUS // table)
        parts = [
            self._targets_of(priors, instances[i : i + step], inside[i : i + step])
            for i in range(0, len(instances), step)
        ]
        return priors, _join(parts)

    def _targets_of(self, priors: Tensor, instances: InstanceList, inside: Tensor) -> _PriorTargets:
        """What each prior is taught in some images, all from one table of IoU.

        Args:
            priors: (A, 4).
            instances: Per image ``bboxes``, ``labels`` and perhaps ``probs``.
            inside: Whether a prior lies in the image, (N, A).
        """
        bboxes, is_box = pad_boxes([boxes.bboxes.to(priors) for boxes in instances])
        batch = RegionBatch([len(boxes) for boxes in instances], priors.device, min_size=1)
        classes = batch.pad(torch.cat([boxes.labels for boxes in instances]))
        probs = batch.pad(torch.cat([probabilities(boxes) for boxes in instances])).to(priors)
        iou = pairwise_iou(priors[None], bboxes)  # (N, M, A)

        is_cell = probs >= 1
        best, box = self._match(iou, is_cell, inside)
        certain, uncertain = box >= 0, None
        avg_factor: Tensor = certain.sum(dim=1).clamp(min=1).sum()
        if (is_box & ~is_cell).any():
            _, other = self._match(iou, is_box & ~is_cell, inside & ~certain)
            uncertain = other >= 0
            box = torch.where(uncertain, other, box)
        positive, box = box >= 0, box.clamp(min=0)
        share = probs.gather(1, box) * positive
        if uncertain is not None:
            avg_factor = avg_factor + share[uncertain].sum()
        goals = bboxes.gather(1, box[..., None].expand(-1, -1, 4))[positive]
        if not self.reg_decoded_bbox:
            goals = self.bbox_coder.encode(priors.expand(len(bboxes), -1, -1)[positive], goals)
        targets = priors.new_zeros(*positive.shape, 4)
        targets[positive] = goals
        return _PriorTargets(
            torch.where(positive, classes.gather(1, box), self.num_classes),
            self._label_weights(iou, best, positive, inside),
            share,
            positive,
            targets,
            share[..., None].expand(-1, -1, 4),
            avg_factor,
            uncertain,
        )

    def _match(self, iou: Tensor, among: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """Match priors and boxes as ``MaxIoUAssigner`` does, the images of a batch at once.

        A prior takes the box that it overlaps most, from ``pos_iou_thr`` on, and each box has its
        best prior, from ``min_pos_iou`` on; where two boxes have the same, the later.

        Args:
            iou: Of M boxes and A priors, (N, M, A).
            among: Which boxes are matched, (N, M).
            free: Which priors, (N, A).

        Returns:
            The highest IoU of each prior, 0 where there is none, and its box, -1 where it has none,
            (N, A).
        """
        rule = self.assigner
        iou = iou.masked_fill(~(among[..., None] & free[:, None]), 0)
        best, box = iou.max(dim=1)
        box = torch.where((best >= rule.pos_iou_thr) & (best > 0), box, -1)
        if rule.match_low_quality:
            overlap, prior = iou.max(dim=2)
            has_one = (overlap >= rule.min_pos_iou) & (overlap > 0)
            own = torch.arange(iou.shape[1], device=iou.device).expand_as(prior)
            own = torch.where(has_one, own, -1)
            if rule.gt_max_assign_all:
                is_best = (iou == overlap[..., None]) & has_one[..., None]
                last = torch.where(is_best, own[..., None], -1).amax(dim=1)
            else:
                last = torch.full_like(box, -1).scatter_reduce(1, prior, own, 'amax')
            box = torch.where(last >= 0, last, box)
        return best, box

    def _label_weights(self, iou: Tensor, best: Tensor, positive: Tensor, inside: Tensor) -> Tensor:
        """Weights (N, A) of the classification loss.

        Args:
            iou: Of all boxes and priors, (N, M, A).
            best: Highest IoU of each prior with a box that is a cell, (N, A).
            positive: Whether a prior matches a box, (N, A).
            inside: Whether it lies in the image, (N, A).
        """
        weights = (inside & (positive | (best < self.assigner.neg_iou_thr))).to(iou)
        if self.far_weight not in (None, 1):
            near = positive | (iou >= BESIDE_IOU).any(dim=1)
            weights = torch.where(near, weights, self.far_weight * weights)
        if self.train_cfg.pos_weight > 0:
            weights = torch.where(positive, self.train_cfg.pos_weight * weights, weights)
        return weights

    def _class_loss(self, logits: Tensor, targets: _PriorTargets, ignored: Tensor | None) -> Tensor:
        """The sum of the classification losses of positives and negatives, a scalar."""
        by_class = logits.transpose(1, 2)
        loss = F.cross_entropy(by_class, targets.labels, reduction='none')
        if targets.uncertain is not None:
            share = targets.share
            background = torch.full_like(targets.labels, self.num_classes)
            other = F.cross_entropy(by_class, background, reduction='none')
            loss = torch.where(targets.uncertain, share * loss + (1 - share) * other, loss)
        loss = loss * targets.label_weights
        if ignored is not None:
            loss = loss.masked_fill(ignored & ~targets.positive, 0)
        negative = self._negative_loss(loss, targets.positive, targets.share)
        return loss[targets.positive].sum() + negative.sum()

    def _negative_loss(self, loss: Tensor, positive: Tensor, share: Tensor) -> Tensor:
        """Classification loss (N,) of each image's negatives: its hardest background, or all.

        Args:
            loss: (N, A).
            positive: Whether a prior matches a box, (N, A).
            share: The share of a positive that it counts, (N, A) in [0, 1].
        """
        positives = share.sum(dim=1, keepdim=True)
        # losses are >= 0, so that those of positives, set to 0, come last and add nothing
        loss = loss.masked_fill(positive, 0)
        if self.far_weight is None:
            wanted = self.train_cfg['neg_pos_ratio'] * positives
        elif not self.min_negatives:
            return loss.sum(dim=1).masked_fill(positives[:, 0] == 0, 0)  # nothing to sort
        else:
            wanted = loss.shape[1] * (positives > 0)
        wanted = wanted.clamp(min=self.min_negatives)
        hardest = loss.sort(dim=1, descending=True).values
        rank = torch.arange(loss.shape[1], device=loss.device)
        return hardest.masked_fill(rank >= wanted, 0).sum(dim=1)

    @torch.no_grad()
    def _ignored(self, priors: Tensor, instances: OptInstanceList) -> Tensor | None:
        """Whether a prior (A, 4) would match a box to be ignored, (N, A); None if there is none."""
        bboxes = [boxes.get('bboxes') if boxes else None for boxes in instances or []]
        given = [priors.new_zeros(0, 4) if boxes is None else boxes.to(priors) for boxes in bboxes]
        if not any(map(len, given)):
            return None
        iou = pairwise_iou(priors[None], pad_boxes(given)[0])
        return (iou >= self.assigner.pos_iou_thr).any(dim=1)

    def _flatten(self, cls_scores: list[Tensor], bbox_preds: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps of all levels as logits (N, A, C + 1) and deltas (N, A, 4), float32."""
        num_images = len(cls_scores[0])
        deltas = [pred.permute(0, 2, 3, 1).reshape(num_images, -1, 4) for pred in bbox_preds]
        return self.flat_logits(cls_scores), torch.cat(deltas, dim=1).float()

    def flat_logits(self, cls_scores: list[Tensor]) -> Tensor:
        """Class logits of all levels, per level (N, A_l * (C + 1), H, W), as (N, A, C + 1)."""
        logits = [
            score.permute(0, 2, 3, 1).reshape(len(score), -1, self.cls_out_channels)
            for score in cls_scores
        ]
        return torch.cat(logits, dim=1).float()

    @torch.no_grad()
    def propose(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_img_metas: list[dict],
        cfg: ConfigType,
    ) -> InstanceList:
        """Regions that show any class: top k after NMS by foreground score, gradient stopped.

        The foreground score of a prior is 1 - its background probability. The whole batch is
        treated at once; NMS never lets regions of two images meet.

        Args:
            cls_scores: Per level (N, A_l * (C + 1), H, W).
            bbox_preds: Per level (N, A_l * 4, H, W).
            batch_img_metas: Per image ``img_shape``, to which boxes are clipped.
            cfg: ``nms_pre`` (priors an image that enter NMS), ``nms`` (class-agnostic), and
                ``max_per_img`` (k).

        Returns:
            Per image ``bboxes`` (R, 4) in pixels of the padded batch tensor, ``scores`` (R,) the
            foreground score, falling, and ``class_probs`` (R, C + 1), softmax with background last.
        """
        featmap_sizes = [featmap.shape[-2:] for featmap in cls_scores]
        logits, deltas = self._flatten(cls_scores, bbox_preds)
        num_images = len(logits)
        priors = torch.cat(
            self.prior_generator.grid_priors(
                featmap_sizes, dtype=logits.dtype, device=logits.device
            )
        )
        # classes before priors: on a CPU a softmax over a short last dimension is ten times slower
        probs = logits.transpose(1, 2).contiguous().softmax(dim=1).transpose(1, 2)
        nms_pre = min(cfg['nms_pre'], len(priors))
        scores, best = (1 - probs[..., -1]).topk(nms_pre, dim=1)
        bboxes = self.bbox_coder.decode(
            priors[best.flatten()],
            deltas.gather(1, best[..., None].expand(-1, -1, 4)).flatten(0, 1),
        )
        image = torch.arange(num_images, device=logits.device).repeat_interleave(nms_pre)
        limits = bboxes.new_tensor([meta['img_shape'][1::-1] * 2 for meta in batch_img_metas])
        bboxes = torch.minimum(bboxes.clamp(min=0), limits[image])
        probs = probs.gather(1, best[..., None].expand(-1, -1, probs.shape[-1])).flatten(0, 1)

        # mmengine puts _scope_ into parts of a config whose base lies in an installed package
        nms = {key: value for key, value in cfg['nms'].items() if key != '_scope_'}
        _, keep = batched_nms(bboxes, scores.flatten(), image, nms)
        # by image, and within each by falling score: batched_nms returns falling scores
        keep = keep[image[keep].sort(stable=True).indices]
        counts = torch.bincount(image[keep], minlength=num_images)
        first = (counts.cumsum(0) - counts)[image[keep]]
        rank = torch.arange(len(keep), device=keep.device) - first
        keep = keep[rank < cfg['max_per_img']]
        sizes = counts.clamp(max=cfg['max_per_img']).tolist()
        return [
            InstanceData(bboxes=box, scores=score, class_probs=prob)
            for box, score, prob in zip(
                bboxes[keep].split(sizes),
                scores.flatten()[keep].split(sizes),
                probs[keep].split(sizes),
                strict=True,
            )
        ]
