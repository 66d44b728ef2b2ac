"""SSD head that trains a batch at once, predicts on mmdet 3.3 and proposes regions."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import SSDHead
from mmdet.models.losses import smooth_l1_loss
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, InstanceList, OptInstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from ...errors import check_argument
from ..utils import RegionBatch, no_autocast, pairwise_iou, probabilities

#: Overlap with a box from which on background is beside it, as Fast R-CNN samples background.
BESIDE_IOU = 0.1


class _UncertainMatch(NamedTuple):
    """Priors that match a box which may be a cell.

    Attributes:
        matched: Boolean (N, A).
        labels: (N, A), class of the box.
        probs: (N, A), its probability; 0 where nothing matches.
        targets: (N, A, 4), its encoded box; 0 where nothing matches.
    """

    matched: Tensor
    labels: Tensor
    probs: Tensor
    targets: Tensor


class _PriorTargets(NamedTuple):
    """What each prior of each image is taught.

    Attributes:
        labels: (N, A), class; ``num_classes`` is background.
        label_weights: (N, A); 0 leaves a prior out.
        share: (N, A), the share of a positive that it is: 1, or the probability of its box.
        positive: Boolean (N, A), whether it matches a box.
        bboxes: (N, A, 4), encoded boxes.
        bbox_weights: (N, A, 4).
        avg_factor: Number of positives, a box that may be a cell counting by its probability.
        uncertain: Boolean (N, A), whether its box may be no cell; None if there is no such box.
    """

    labels: Tensor
    label_weights: Tensor
    share: Tensor
    positive: Tensor
    bboxes: Tensor
    bbox_weights: Tensor
    avg_factor: Tensor | float
    uncertain: Tensor | None


def split_by_certainty(instances: InstanceList) -> tuple[InstanceList, InstanceList]:
    """Part the boxes of each image into those that are cells and those that may be.

    Args:
        instances: Per image ``bboxes``, ``labels`` and perhaps ``probs``, in [0, 1]; without it,
            all are cells.

    Returns:
        The boxes of probability 1, and the others, which keep their ``probs``.
    """
    certain, uncertain = [], []
    for boxes in instances:
        probs = probabilities(boxes)
        sure = probs >= 1
        certain.append(InstanceData(bboxes=boxes.bboxes[sure], labels=boxes.labels[sure]))
        uncertain.append(
            InstanceData(bboxes=boxes.bboxes[~sure], labels=boxes.labels[~sure], probs=probs[~sure])
        )
    return certain, uncertain


@MODELS.register_module()
class SSDStudentHead(SSDHead):
    r"""SSD head of the student, eq. 4-7.

    Parameters and state dict are those of mmdet's ``SSDHead``. What differs:

    - It predicts on mmdet 3.3, whose ``SSDHead`` raises ``AttributeError: ... no attribute
      'loss_cls'`` in the first validation.
    - The loss treats the whole batch at once, in float32 whatever the autocast:

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
            ``min_negatives`` negative, or ``far_weight`` outside its range.
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
        self.alpha = alpha
        self.min_negatives = min_negatives
        self.far_weight = far_weight
        # mmdet 3.2 and 3.3 look at this attribute in predict; None means plain softmax
        self.loss_cls = None

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
        priors, targets = self._targets(
            cls_scores, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
        )
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

    def _targets(
        self,
        cls_scores: list[Tensor],
        instances: InstanceList,
        batch_img_metas: list[dict],
        ignored: OptInstanceList,
    ) -> tuple[Tensor, _PriorTargets]:
        """The priors (A, 4), and what each is taught in each image."""
        anchors, valid_flags = self.get_anchors(
            [featmap.shape[-2:] for featmap in cls_scores],
            batch_img_metas,
            device=cls_scores[0].device,
        )
        certain, uncertain = split_by_certainty(instances)
        labels, label_weights, bboxes, bbox_weights, avg_factor = self.get_targets(
            anchors,
            valid_flags,
            certain,
            batch_img_metas,
            batch_gt_instances_ignore=ignored,
            unmap_outputs=True,
        )
        labels, bboxes = torch.cat(labels, dim=1), torch.cat(bboxes, dim=1)
        bbox_weights = torch.cat(bbox_weights, dim=1)
        priors = torch.cat(anchors[0])
        positive = labels < self.num_classes
        share = positive.to(bboxes)
        maybe = self._match_uncertain(priors, uncertain, positive)
        if maybe is not None:
            share = share + maybe.probs
            labels = torch.where(maybe.matched, maybe.labels, labels)
            bboxes = torch.where(maybe.matched[..., None], maybe.targets, bboxes)
            bbox_weights = bbox_weights + maybe.probs[..., None]
            avg_factor = avg_factor + maybe.probs.sum()
            positive = positive | maybe.matched
        return priors, _PriorTargets(
            labels,
            self._weigh_far(torch.cat(label_weights, dim=1), priors, instances, positive),
            share,
            positive,
            bboxes,
            bbox_weights,
            avg_factor,
            None if maybe is None else maybe.matched,
        )

    @torch.no_grad()
    def _weigh_far(
        self, weights: Tensor, priors: Tensor, instances: InstanceList, positive: Tensor
    ) -> Tensor:
        """Weights (N, A) of the priors, those of far background times ``far_weight``."""
        if self.far_weight in (None, 1):
            return weights
        near = self._overlaps(priors, [boxes.bboxes for boxes in instances], BESIDE_IOU)
        near = positive if near is None else positive | near
        return torch.where(near, weights, self.far_weight * weights)

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

    @torch.no_grad()
    def _match_uncertain(
        self, priors: Tensor, instances: InstanceList, taken: Tensor
    ) -> '_UncertainMatch | None':
        """Give priors (A, 4) that no certain box took, (N, A), to boxes that may be cells.

        As ``MaxIoUAssigner`` does: a prior takes the box that it overlaps most, from
        ``pos_iou_thr`` on, and each box has its best prior, whatever their overlap.
        """
        counts = [len(boxes) for boxes in instances]
        if not any(counts):
            return None
        batch = RegionBatch(counts, priors.device)
        bboxes = batch.pad(torch.cat([boxes.bboxes for boxes in instances])).to(priors)
        iou = pairwise_iou(priors[None], bboxes)  # (N, M, A)
        iou = iou.masked_fill(~batch.mask[..., None], -1).masked_fill(taken[:, None], -1)
        best, box = iou.max(dim=1)
        matched = best >= self.train_cfg['assigner'].get('pos_iou_thr', 0.5)
        overlap, prior = iou.max(dim=2)
        image, own = (overlap > 0).nonzero(as_tuple=True)
        matched[image, prior[image, own]] = True
        box[image, prior[image, own]] = own
        matched &= ~taken

        labels = batch.pad(torch.cat([boxes.labels for boxes in instances])).gather(1, box)
        probs = batch.pad(torch.cat([boxes.probs for boxes in instances])).to(priors)
        probs = probs.gather(1, box) * matched
        targets = priors.new_zeros(*matched.shape, 4)
        goal = bboxes.gather(1, box[..., None].expand(-1, -1, 4))[matched]
        start = priors.expand(len(bboxes), -1, -1)[matched]
        targets[matched] = goal if self.reg_decoded_bbox else self.bbox_coder.encode(start, goal)
        return _UncertainMatch(matched, labels, probs, targets)

    def _negative_loss(self, loss: Tensor, positive: Tensor, share: Tensor) -> Tensor:
        """Classification loss (N,) of each image's negatives: its hardest background, or all.

        Args:
            loss: (N, A).
            positive: Whether a prior matches a box, (N, A).
            share: The share of a positive that it counts, (N, A) in [0, 1].
        """
        positives = share.sum(dim=1, keepdim=True)
        if self.far_weight is None:
            wanted = self.train_cfg['neg_pos_ratio'] * positives
        else:
            wanted = loss.shape[1] * (positives > 0)
        wanted = wanted.clamp(min=self.min_negatives)
        # losses are >= 0, so that those of positives, set to 0, come last and add nothing
        hardest = loss.masked_fill(positive, 0).sort(dim=1, descending=True).values
        rank = torch.arange(loss.shape[1], device=loss.device)
        return hardest.masked_fill(rank >= wanted, 0).sum(dim=1)

    def _ignored(self, priors: Tensor, instances: OptInstanceList) -> Tensor | None:
        """Whether a prior would match a box to be ignored, (N, A)."""
        bboxes = [boxes.get('bboxes') if boxes else None for boxes in instances or []]
        return self._overlaps(priors, bboxes, self.train_cfg['assigner'].get('pos_iou_thr', 0.5))

    @staticmethod
    def _overlaps(priors: Tensor, bboxes: list[Tensor | None], least: float) -> Tensor | None:
        """Whether a prior (A, 4) overlaps a box of its image, (N, A); None if there is no box."""
        counts = [0 if boxes is None else len(boxes) for boxes in bboxes]
        if not any(counts):
            return None
        batch = RegionBatch(counts, priors.device)
        padded = batch.pad(torch.cat([boxes for boxes in bboxes if boxes is not None]).to(priors))
        iou = pairwise_iou(priors[None], padded)
        return ((iou >= least) & batch.mask[..., None]).any(dim=1)

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
