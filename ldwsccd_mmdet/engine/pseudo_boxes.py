"""Pseudo-boxes of a trained MIL head in the images of a data set, beside the true boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from ..datasets.bag_audit import bag_labels
from ..datasets.coco_json import load_truth, truth_boxes
from ..errors import ConfigError
from ..models.detectors import LDWSCCDMixin
from .model_weights import load_weights

__all__ = ['build_detector', 'find_pseudo_boxes', 'true_boxes']

#: True boxes (n, 4), x1 y1 x2 y2 in pixels of the image file, and class indices (n,), by image id.
Truth = dict[int, tuple[np.ndarray, np.ndarray]]


def build_detector(config: Config, checkpoint: str) -> Any:
    """Build a detector with its weights, in eval mode, on the accelerator if there is one.

    Raises:
        ConfigError: It is not LD-WSCCD.
        CheckpointError: The checkpoint can't be read, or is of another model.
    """
    model: Any = MODELS.build(config.model)
    if not isinstance(model, LDWSCCDMixin):
        raise ConfigError(
            f"model.type: expected 'LDWSCCD' or 'LDWSCCDTwoStage', found {type(model).__name__}"
        )
    load_weights(model, checkpoint, mil_head=True)
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()  # type: ignore[attr-defined]


def true_boxes(dataset: Any, ann_file: str | None = None) -> Truth:
    """Read the true boxes of each image, from a file of their own or the set itself.

    Args:
        dataset: The data set, as of :func:`build_plain_dataset`.
        ann_file: COCO json of the true boxes, where the set has image labels alone.
    """
    classes = list(dataset.metainfo['classes'])
    coco = load_truth(ann_file) if ann_file else None
    found = {}
    for index in range(len(dataset)):
        record = dataset.get_data_info(index)
        image_id = record['img_id']
        if coco is None:
            cells = [cell for cell in record['instances'] if not cell['ignore_flag']]
            boxes = np.array([cell['bbox'] for cell in cells], float).reshape(-1, 4)
            labels = np.array([cell['bbox_label'] for cell in cells], int)
        else:
            names = [category['name'] for category in coco.dataset['categories']]
            _, boxes, own = truth_boxes(coco, image_id)
            labels = np.array(
                [classes.index(names[i]) if names[i] in classes else -1 for i in own], int
            )
            boxes, labels = boxes[labels >= 0], labels[labels >= 0]
        found[image_id] = boxes, labels
    return found


def find_pseudo_boxes(
    model: Any, dataset: Any, index: int, truth: Truth
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Find the pseudo-boxes of one image.

    Args:
        model: As of :func:`build_detector`.
        dataset: The data set, without augmentation.
        index: Which image.
        truth: As of :func:`true_boxes`.

    Returns:
        What :class:`PseudoBoxMetric` takes, in pixels of the image file, and the same boxes as
        COCO results.

    Raises:
        ConfigError: The model has no MIL head.
    """
    record = dataset.get_data_info(index)
    batch = model.data_preprocessor(pseudo_collate([dataset[index]]), False)
    num_classes = len(dataset.metainfo['classes'])
    labels = torch.tensor(bag_labels(record, num_classes, model.supervision.regime))[None]
    found = model.find_pseudo_boxes(batch['inputs'], batch['data_samples'], labels)[0]
    boxes, own = truth[record['img_id']]
    sample = {
        'img_id': record['img_id'],
        'ori_shape': batch['data_samples'][0].ori_shape,
        'pred_instances': found,
        'gt_instances': {'bboxes': torch.from_numpy(boxes), 'labels': torch.from_numpy(own)},
    }
    rows = [
        {
            'image_id': record['img_id'],
            'category_id': dataset.cat_ids[label],
            'bbox': [x1, y1, x2 - x1, y2 - y1],
            'score': score,
        }
        for (x1, y1, x2, y2), label, score in zip(
            found.bboxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
        )
    ]
    return sample, rows
