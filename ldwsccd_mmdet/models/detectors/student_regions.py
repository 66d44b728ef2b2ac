"""What a student finds in images outside training: its regions, and its pseudo-boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from ...errors import ConfigError

__all__ = ['find_pseudo_boxes', 'rescale_to_file', 'student_regions']


@torch.no_grad()
def student_regions(
    model: Any, feats: Sequence[Tensor], samples: SampleList, max_per_img: int | None = None
) -> InstanceList:
    """Regions of a student's own head: the SSD head's best boxes, or the RPN's.

    Args:
        model: A detector with :class:`SSDStudentHead` or a ``rpn_head``.
        feats: Its feature maps.
        samples: The samples of the batch.
        max_per_img: Regions an image at most; None: as in training (``train_cfg.proposal``).

    Returns:
        Per image ``bboxes`` (R, 4) in pixels of the batch tensor and ``scores`` (R,), falling.

    Raises:
        ConfigError: If the detector has no such head.
    """
    metas = [sample.metainfo for sample in samples]
    given = (model.train_cfg or {}).get('proposal') or (model.test_cfg or {}).get('proposal') or {}
    most = max_per_img or given.get('max_per_img', 300)
    if getattr(model, 'rpn_head', None) is not None:
        found = model.rpn_head.predict(feats, samples, rescale=False)
        return [regions[:most] for regions in found]
    head: Any = getattr(model, 'bbox_head', None)
    if not hasattr(head, 'propose'):
        raise ConfigError(
            f'model.bbox_head: expected a head that proposes regions (type SSDStudentHead) or '
            f'model.rpn_head, found {type(head).__name__}'
        )
    cfg = {
        'nms_pre': max(given.get('nms_pre', 1000), 4 * most),
        'nms': given.get('nms', {'type': 'nms', 'iou_threshold': 0.7}),
        'max_per_img': most,
    }
    return head.propose(*head(tuple(feats)), metas, cfg)


@torch.no_grad()
def find_pseudo_boxes(
    model: Any, inputs: Tensor, samples: SampleList, image_labels: Tensor
) -> InstanceList:
    """Boxes that the refined stages find for the classes of each image.

    Their regions are those of training after ``pseudo_warmup``: the student's own, and those of
    ``model.proposer`` if there is one.

    Args:
        model: A detector with a ``mil_head``, in eval mode.
        inputs: Normalised images (N, 3, H, W).
        samples: Their samples.
        image_labels: (N, C), true where the class occurs in the image.

    Returns:
        Per image ``bboxes`` (n, 4) in pixels of the image file, ``labels`` (n,) and ``scores``
        (n,).

    Raises:
        ConfigError: If the detector has no MIL head.
    """
    if getattr(model, 'mil_head', None) is None:
        raise ConfigError(
            'model.mil_head: pseudo-boxes come from a MILRefinementHead, found none; choose a '
            'config with one'
        )
    feats = model.extract_feat(inputs)
    bboxes = [region.bboxes for region in student_regions(model, feats, samples)]
    if model.proposer is not None:
        metas = [sample.metainfo for sample in samples]
        proposed = model.proposer(inputs, metas, model.data_preprocessor)
        bboxes = [
            torch.cat([own, other.bboxes.to(own)])
            for own, other in zip(bboxes, proposed, strict=True)
        ]
    logits = model.mil_head(feats, bboxes)
    found = model.mil_head.pseudo_boxes(logits, bboxes, image_labels.to(feats[0]))
    return [
        InstanceData(
            bboxes=rescale_to_file(item.bboxes, sample.metainfo),
            labels=item.labels,
            scores=item.scores,
        )
        for item, sample in zip(found, samples, strict=True)
    ]


def rescale_to_file(bboxes: Tensor, meta: dict) -> Tensor:
    """Turn boxes (n, 4) of the batch tensor into pixels of the image file."""
    x, y = tuple(meta.get('scale_factor') or (1.0, 1.0))[:2]
    return bboxes / bboxes.new_tensor([x, y, x, y])
