"""mmdet's COCO metric on what the loader has loaded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO as IndexedCOCO
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from pycocotools.coco import COCO
from rich.markup import escape
from rich.table import Table

from ...datasets.coco_json import label_names
from ...errors import ConfigError
from ..functional.matching import match_detections
from ..predictions import Detections
from .cytology_metric import table_text
from .loader_truth import LoaderTruth, warn_of_max_dets

__all__ = ['CheckedCocoMetric']

_AREAS = ('', '_s', '_m', '_l')


@METRICS.register_module()
class CheckedCocoMetric(LoaderTruth, CocoMetric):
    """``CocoMetric`` whose truth is what the loader has loaded; the same names in the log.

    mmdet's reads the annotation file a second time, as it stands: it counts boxes that the data set
    leaves out, stops at a missing ``iscrowd`` or ``area``, takes annotation 0 for a miss, and
    prints AP under wrong class names where category ids do not ascend. Here the truth is that of
    the data set (:class:`~ldwsccd_mmdet.engine.hooks.LoaderTruthHook` hands it over), or of
    ``ann_file``, read as the data set reads it. AP is not rounded, and equals that of
    :class:`CytologyMetric`.

    mmdet takes the best 100 detections an image and class for ``bbox_mAP``, and 1000 for the other
    values; here one number, COCO's 100, holds for all.

    Args:
        ann_file: COCO json of the truth, of the same images; None: what the loader has loaded.
        metric: See :class:`mmdet.evaluation.CocoMetric`.
        max_dets: Detections per image and class that count for AP of boxes.
        iou_thrs: See :class:`mmdet.evaluation.CocoMetric`; a number or a sequence. With it the
            values are those of ``CocoMetric`` itself, on the same truth.
        backend_args: How to read ``ann_file``, as in mmengine.
        **kwargs: See :class:`mmdet.evaluation.CocoMetric`.

    Raises:
        DatasetError: ``ann_file`` cannot be used.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | list[str] = 'bbox',
        max_dets: int = 100,
        iou_thrs: float | Sequence[float] | None = None,
        backend_args: dict | None = None,
        **kwargs: Any,
    ) -> None:
        thrs = None if iou_thrs is None else np.atleast_1d(np.asarray(iou_thrs, float))
        super().__init__(metric=metric, iou_thrs=thrs, backend_args=backend_args, **kwargs)
        self.max_dets = max_dets
        self._own_thrs = thrs is not None
        self.read_truth(ann_file, backend_args)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the detections of one batch.

        Args:
            data_batch: Not used.
            data_samples: Samples of the model, as dicts.

        Raises:
            ConfigError: There is no truth.
        """
        if self.truth is None:
            raise ConfigError(
                'CheckedCocoMetric has no truth: add the hook that hands it over, '
                "default_hooks=dict(loader_truth=dict(type='LoaderTruthHook')), or give ann_file"
            )
        if getattr(self, '_coco_api', None) is None:
            self._coco_api: Any = IndexedCOCO()  # mmdet asks the samples for their truth otherwise
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Measure what all processes have collected.

        Args:
            results: What :meth:`process` kept, by image.
        """
        assert self.truth is not None
        classes = label_names(self.truth, self.dataset_meta['classes'])
        values = {}
        others = [name for name in self.metrics if name != 'bbox']
        if self.format_only or self._own_thrs or others:
            self._coco_api = _with_places_as_ids(self.truth, classes)
            self.cat_ids = self.img_ids = None
            values.update(super().compute_metrics(results))
        if 'bbox' in self.metrics and not self.format_only and not self._own_thrs:
            values.update(self._bbox_ap([found for _, found in results], classes))
        return values

    def _bbox_ap(self, results: Sequence[dict], classes: Sequence[str]) -> dict[str, float]:
        """Compute average precisions of boxes."""
        predictions = {
            found['img_id']: Detections(
                np.asarray(found['bboxes'], float).reshape(-1, 4),
                np.asarray(found['scores'], float),
                np.asarray(found['labels'], int),
            )
            for found in results
        }
        matches = match_detections(self.truth, predictions, classes, max_dets=self.max_dets)
        warn_of_max_dets('CheckedCocoMetric', matches.num_truths, self.max_dets)
        grid = matches.ap_grid  # (overlaps 0.50 to 0.95, areas, classes)
        rows = {
            'mAP': grid[:, 0].mean(0),
            'mAP_50': grid[0, 0],
            'mAP_75': grid[5, 0],
            **{f'mAP{area}': grid[:, i].mean(0) for i, area in enumerate(_AREAS) if area},
        }
        wanted = self.metric_items or list(rows)
        values = {f'bbox_{name}': _mean(rows[name]) for name in wanted if name in rows}
        if self.classwise:
            values.update(
                {f'{name}_precision': float(rows['mAP'][i]) for i, name in enumerate(classes)}
            )
        MMLogger.get_current_instance().info('\n' + _table(classes, rows))
        return values


def _mean(values: np.ndarray) -> float:
    """Mean over the classes that have a truth; -1, as COCO has it, where none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else -1.0


def _table(classes: Sequence[str], rows: dict[str, np.ndarray]) -> str:
    """Write AP by class as text."""
    table = Table('class')
    for name in rows:
        table.add_column(name, justify='right')
    for index, name in enumerate(classes):
        cells = [float(values[index]) for values in rows.values()]
        table.add_row(escape(name), *('-' if np.isnan(cell) else f'{cell:.3f}' for cell in cells))
    return table_text(table)


def _with_places_as_ids(truth: COCO, classes: Sequence[str]) -> IndexedCOCO:
    """Index the truth with places in ``classes`` as category ids, which ascend."""
    place = {
        c['id']: list(classes).index(c['name']) for c in truth.cats.values() if c['name'] in classes
    }
    index = IndexedCOCO()
    index.dataset = {
        **truth.dataset,
        'categories': [{'id': i, 'name': name} for i, name in enumerate(classes)],
        'annotations': [
            {**a, 'category_id': place[a['category_id']]}
            for a in truth.dataset['annotations']
            if a['category_id'] in place
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports on stdout
        index.createIndex()
    index.img_ann_map, index.cat_img_map = index.imgToAnns, index.catToImgs
    return index
