"""SSD head that trains a batch at once, predicts on mmdet 3.3 and proposes regions."""

from typing import Any

import torch
import torch.nn.functional as F
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import SSDHead
from mmdet.models.losses import smooth_l1_loss
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, InstanceList, OptInstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from ...errors import ConfigError
from ..utils import RegionBatch, pairwise_iou


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
          + \frac{1}{N_{pos}} \sum_{pos} \mathrm{smooth}_{L_1}(t - t^*)

      The hard negatives of an image are its ``neg_pos_ratio`` (3) x positives background priors of
      highest loss. :math:`N_{pos}` counts the matched priors of the batch, at least 1 an image. An
      image without a matched prior adds 0; the loss stays connected to the graph.
    - :meth:`propose` gives the regions of the MIL head.

    Args:
        num_classes: Foreground classes, without background. Required: mmdet's default of 80 is
            never what a cytologist means.
        *args: As mmdet's ``SSDHead``.
        **kwargs: As mmdet's ``SSDHead``.

    Raises:
        ConfigError: If ``num_classes`` is missing or not a positive integer.
    """

    def __init__(self, num_classes: Any = None, *args: Any, **kwargs: Any) -> None:
        if not isinstance(num_classes, int) or num_classes < 1:
            raise ConfigError(
                'bbox_head.num_classes: expected the number of classes (without background), '
                f'found {num_classes!r}; set model.bbox_head.num_classes to '
                'len(train_dataloader.dataset.metainfo.classes)'
            )
        super().__init__(num_classes, *args, **kwargs)
        # mmdet 3.2 and 3.3 look at this attribute in predict; None means plain softmax
        self.loss_cls = None

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
            batch_gt_instances: Per image ``bboxes`` (n, 4) in pixels of the padded batch tensor and
                ``labels`` (n,).
            batch_img_metas: Per image ``img_shape`` and ``pad_shape``.
            batch_gt_instances_ignore: Per image boxes of objects of no known class, or of none:
                priors that would match such a box are no negatives.

        Returns:
            ``loss_cls`` and ``loss_bbox``, float32 scalars.
        """
        featmap_sizes = [featmap.shape[-2:] for featmap in cls_scores]
        anchors, valid_flags = self.get_anchors(
            featmap_sizes, batch_img_metas, device=cls_scores[0].device
        )
        labels, label_weights, bbox_targets, bbox_weights, avg_factor = self.get_targets(
            anchors,
            valid_flags,
            batch_gt_instances,
            batch_img_metas,
            batch_gt_instances_ignore=batch_gt_instances_ignore,
            unmap_outputs=True,
        )
        labels = torch.cat(labels, dim=1)
        label_weights = torch.cat(label_weights, dim=1)
        bbox_targets = torch.cat(bbox_targets, dim=1)
        bbox_weights = torch.cat(bbox_weights, dim=1)
        logits, deltas = self._flatten(cls_scores, bbox_preds)
        ignored = self._ignored(torch.cat(anchors[0]), batch_gt_instances_ignore)

        with torch.autocast(device_type=logits.device.type, enabled=False):
            loss = F.cross_entropy(logits.transpose(1, 2), labels, reduction='none')
            loss = loss * label_weights
            positive = labels < self.num_classes
            if ignored is not None:
                loss = loss.masked_fill(ignored & ~positive, 0)
            loss_cls = loss[positive].sum() + self._hard_negative_loss(loss, positive).sum()
            if self.reg_decoded_bbox:
                priors = torch.cat(anchors[0]).repeat(len(logits), 1)
                deltas = self.bbox_coder.decode(priors, deltas.flatten(0, 1)).view_as(deltas)
            loss_bbox = smooth_l1_loss(
                deltas,
                bbox_targets,
                bbox_weights,
                beta=self.train_cfg['smoothl1_beta'],
                avg_factor=avg_factor,
            )
        return dict(loss_cls=loss_cls / avg_factor, loss_bbox=loss_bbox)

    def _hard_negative_loss(self, loss: Tensor, positive: Tensor) -> Tensor:
        """Classification loss (N,) of each image's hardest background priors."""
        num_negatives = self.train_cfg['neg_pos_ratio'] * positive.sum(dim=1, keepdim=True)
        # losses are >= 0, so that positives, set to 0, come last and add nothing
        hardest = loss.masked_fill(positive, 0).sort(dim=1, descending=True).values
        rank = torch.arange(loss.shape[1], device=loss.device)
        return hardest.masked_fill(rank >= num_negatives, 0).sum(dim=1)

    def _ignored(self, priors: Tensor, instances: OptInstanceList) -> Tensor | None:
        """Whether a prior would match a box to be ignored, (N, A)."""
        bboxes = [boxes.get('bboxes') if boxes else None for boxes in instances or []]
        counts = [0 if boxes is None else len(boxes) for boxes in bboxes]
        if not any(counts):
            return None
        batch = RegionBatch(counts, priors.device)
        padded = batch.pad(torch.cat([boxes for boxes in bboxes if boxes is not None]).to(priors))
        iou = pairwise_iou(priors[None], padded)
        enough = iou >= self.train_cfg['assigner'].get('pos_iou_thr', 0.5)
        return (enough & batch.mask[..., None]).any(dim=1)

    def _flatten(self, cls_scores: list[Tensor], bbox_preds: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps of all levels as logits (N, A, C + 1) and deltas (N, A, 4), float32."""
        num_images = len(cls_scores[0])
        logits = [
            score.permute(0, 2, 3, 1).reshape(num_images, -1, self.cls_out_channels)
            for score in cls_scores
        ]
        deltas = [pred.permute(0, 2, 3, 1).reshape(num_images, -1, 4) for pred in bbox_preds]
        return torch.cat(logits, dim=1).float(), torch.cat(deltas, dim=1).float()

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

        _, keep = batched_nms(bboxes, scores.flatten(), image, cfg['nms'])
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
