"""How right the pseudo-boxes of a set are whose image labels are known."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.logging import print_log

from ...datasets.coco_json import index_truth, truth_boxes
from ...errors import ConfigError
from ..functional import evaluate_detections
from ..functional.box_collapse import BoxCollapse, watch_collapse
from ..predictions import Detections
from .cytology_metric import (
    CytologyMetric,
    _arrays,
    _coco_of_samples,
    _sample_truth,
)

__all__ = ['PseudoBoxMetric']


@METRICS.register_module()
class PseudoBoxMetric(CytologyMetric):
    """CorLoc and AP of pseudo-boxes, and a warning where those of a class have collapsed.

    :class:`CollapseWatchHook` feeds it with pseudo-boxes of training images at each validation. It
    logs, under ``pseudo/``, ``corloc`` (part of the images with a class whose best pseudo-box of it
    is right, mean over classes), ``mAP``, ``boxes_per_image``, ``collapsed`` (how many classes
    have), and with ``classwise`` for each class ``<class>_corloc``, ``<class>_AP`` and
    ``<class>_area``, the median share of the image that a pseudo-box covers. Fractions; what cannot
    be measured, without truth for instance, is left out.

    Args:
        ann_file: COCO json of the true boxes, whose images may be more than those measured. None:
            the truth is taken from the samples.
        iou_thr: Overlap, in (0, 1], from which a pseudo-box is right.
        classwise: Whether to log each class too.
        collapse: Further arguments of :func:`watch_collapse`, such as ``area_thr``.
        **kwargs: As :class:`CytologyMetric`.
    """

    default_prefix = 'pseudo'

    def __init__(
        self,
        ann_file: str | None = None,
        iou_thr: float = 0.5,
        classwise: bool = True,
        collapse: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file, iou_thr, classwise=classwise, num_resamples=0, **kwargs)
        self.collapse = dict(collapse or {})
        #: One entry a class, of the last evaluation.
        self.watched: list[BoxCollapse] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the pseudo-boxes of a batch (``pred_instances``, in pixels of the image file).

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, with ``img_id``, ``ori_shape``, ``pred_instances`` and,
                if there is no annotation file, ``gt_instances`` in pixels of the image file.
        """
        for sample in data_samples:
            truth = None if self.truth is not None else _sample_truth(sample)
            shape = tuple(sample['ori_shape'][:2])
            self.results.append((sample['img_id'], _arrays(sample['pred_instances']), truth, shape))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Measure what has been collected, and warn of collapsed classes.

        Args:
            results: What :meth:`process` kept, by image.
        """
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ConfigError(
                'PseudoBoxMetric found no class names: add metainfo=dict(classes=(...)) to the '
                'data set of the config'
            )
        if self.truth is None:
            truth = _coco_of_samples([(row[0], row[2]) for row in results], classes)
        else:
            seen = {row[0] for row in results}
            content = self.truth.dataset
            truth = index_truth(
                {
                    **content,
                    'images': [i for i in content['images'] if i['id'] in seen],
                    'annotations': [a for a in content['annotations'] if a['image_id'] in seen],
                },
                'PseudoBoxMetric.ann_file',
            )
        predictions = {row[0]: Detections(*row[1]) for row in results}
        metrics = evaluate_detections(truth, predictions, classes, **self.settings)
        file_names = [category['name'] for category in truth.dataset['categories']]
        to_class = np.array([classes.index(n) if n in classes else -1 for n in file_names], int)
        cells = [truth_boxes(truth, image_id)[1:] for image_id in predictions]
        self.watched = watch_collapse(
            [found.bboxes for found in predictions.values()],
            [found.labels for found in predictions.values()],
            [row[3] for row in results],
            [boxes for boxes, _ in cells],
            [to_class[labels] for _, labels in cells],
            classes,
            **self.collapse,
        )
        for entry in self.watched:
            if entry.warning:
                print_log(f'Pseudo-boxes of {entry.warning}.', 'current', logging.WARNING)
        values = {
            'corloc': metrics.mean(metrics.corloc),
            'mAP': metrics.mean_ap,
            'boxes_per_image': float(np.mean([len(found) for found in predictions.values()])),
            'collapsed': float(sum(entry.kind is not None for entry in self.watched)),
        }
        if self.classwise:
            for i, entry in enumerate(self.watched):
                values[f'{entry.name}_corloc'] = float(metrics.corloc[i])
                values[f'{entry.name}_AP'] = float(metrics.ap[i])
                values[f'{entry.name}_area'] = entry.area_share
        return {name: value for name, value in values.items() if not np.isnan(value)}
