"""What the heads of YOLO share: true boxes of a batch in one row, and boxes made detections."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.utils import filter_scores_and_topk
from mmdet.utils import ConfigType, InstanceList, OptInstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from ..utils import RegionBatch, diou_nms, float_dtype, pairwise_iou
from ..utils.cluster_nms import MAX_PAIRS


class Truths(NamedTuple):
    """The M true boxes of a batch, image after image.

    Attributes:
        bboxes: (M, 4), x1, y1, x2, y2 in pixels of the batch tensor.
        labels: (M,).
        image: (M,), index of the image of each.
        counts: Boxes of each image.
    """

    bboxes: Tensor
    labels: Tensor
    image: Tensor
    counts: list[int]

    @classmethod
    def of(cls, instances: InstanceList, like: Tensor) -> 'Truths':
        """Gather those of a batch, on the device and with the precision of a tensor."""
        counts = [len(each.bboxes) for each in instances]
        bboxes = torch.cat([each.bboxes for each in instances])
        image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        return cls(
            bboxes.to(like.device, float_dtype(like)),
            torch.cat([each.labels for each in instances]).to(like.device),
            image.to(like.device),
            counts,
        )

    def centre(self) -> Tensor:
        """Centres (M, 2), x and y."""
        return (self.bboxes[:, :2] + self.bboxes[:, 2:]) / 2

    def size(self) -> Tensor:
        """Widths and heights (M, 2), each at least a pixel, so that their logarithms are finite."""
        return (self.bboxes[:, 2:] - self.bboxes[:, :2]).clamp(min=1)


def shape_iou(size: Tensor, other: Tensor) -> Tensor:
    """IoU of boxes laid on one centre: widths and heights (M, 2) and (K, 2) to (M, K)."""
    inter = torch.minimum(size[:, None], other).prod(dim=-1)
    return inter / (size.prod(dim=-1)[:, None] + other.prod(dim=-1) - inter)


@torch.no_grad()
def aligned_iou(bboxes: Tensor, others: Tensor) -> Tensor:
    """IoU of box i with box i, (K, 4) and (K, 4) to (K,), without gradient."""
    low, high = torch.maximum(bboxes, others), torch.minimum(bboxes, others)
    inter = (high[:, 2:] - low[:, :2]).clamp(min=0).prod(dim=1)
    area = (bboxes[:, 2:] - bboxes[:, :2]).prod(dim=1) + (others[:, 2:] - others[:, :2]).prod(dim=1)
    return inter / (area - inter).clamp(min=1e-6)


class GridHead(BaseDenseHead):
    """Base of the heads of YOLO; it makes no layers. See each head for the loss."""

    @staticmethod
    @torch.no_grad()
    def best_iou(bboxes: Tensor, truths: Sequence[Tensor]) -> Tensor:
        """Greatest IoU of each predicted box with any true box of its image.

        Args:
            bboxes: Predicted boxes (N, P, 4).
            truths: True boxes of each image, (n, 4).

        Returns:
            (N, P); 0 in an image without true boxes.
        """
        batch = RegionBatch([len(truth) for truth in truths], bboxes.device, min_size=1)
        padded = batch.pad(torch.cat(list(truths)).to(bboxes))  # zeros have the IoU 0
        step = max(1, MAX_PAIRS // (batch.size * len(truths)))
        return torch.cat(
            [pairwise_iou(part, padded).amax(dim=1) for part in bboxes.split(step, dim=1)], dim=1
        )

    @staticmethod
    def boxes_to_spare(truths: Truths, ignored: OptInstanceList) -> list[Tensor]:
        """List, for each image, the boxes near which no prediction is wrong: true and ignored."""
        boxes = list(truths.bboxes.split(truths.counts))
        if ignored is None:
            return boxes
        return [
            box if other is None else torch.cat([box, other.bboxes.to(box)])
            for box, other in zip(boxes, ignored, strict=True)
        ]

    def detections(
        self,
        bboxes: Tensor,
        scores: Tensor,
        batch_img_metas: list[dict],
        cfg: ConfigType,
        rescale: bool,
        with_nms: bool,
    ) -> InstanceList:
        """Turn the boxes of all priors into detections.

        Args:
            bboxes: (N, P, 4), x1, y1, x2, y2 in pixels of the batch tensor.
            scores: (N, P, C), of each class.
            batch_img_metas: Per image ``img_shape``, and ``scale_factor`` if ``rescale``.
            cfg: ``score_thr``, ``nms_pre``, ``nms`` and ``max_per_img``.
            rescale: Give boxes in pixels of the original image rather than of the batch tensor.
            with_nms: Whether to suppress duplicates.

        Returns:
            Per image ``bboxes`` (n, 4), ``scores`` (n,) and ``labels`` (n,).
        """
        results = []
        for boxes, score, meta in zip(bboxes, scores, batch_img_metas, strict=True):
            best, labels, keep, _ = filter_scores_and_topk(
                score, cfg.get('score_thr', 0), cfg.get('nms_pre', 1000)
            )
            height, width = meta['img_shape'][:2]
            limits = boxes.new_tensor([width, height, width, height])
            result = InstanceData(
                bboxes=torch.minimum(boxes[keep].clamp(min=0), limits), scores=best, labels=labels
            )
            results.append(self._bbox_post_process(result, cfg, rescale, with_nms, meta))
        return results

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: ConfigType,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict | None = None,
    ) -> InstanceData:
        """Do as mmdet does, with DIoU-NMS where ``cfg.nms`` asks for it."""
        if not with_nms or cfg['nms'].get('type') != 'diou_nms':
            return super()._bbox_post_process(results, cfg, rescale, with_nms, img_meta)
        results = super()._bbox_post_process(results, cfg, rescale, False, img_meta)
        options = {key: value for key, value in cfg['nms'].items() if key != 'type'}
        keep = diou_nms(results.bboxes, results.scores, results.labels, **options)
        return results[keep[: cfg['max_per_img']]]
