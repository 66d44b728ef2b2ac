"""What a cytologist asks of a detector, in the log of every validation and test."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from pycocotools.coco import COCO
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...datasets.coco_json import index_truth, label_names
from ...errors import ConfigError
from ..functional import DetectionMetrics, evaluate_detections, interval
from ..predictions import Detections
from .loader_truth import LoaderTruth, warn_of_max_dets

__all__ = ['CytologyMetric']


@METRICS.register_module()
class CytologyMetric(LoaderTruth, BaseMetric):
    """Average precision, operating points, FROC, CorLoc and calibration, per class and mean.

    For any mmdet config, beside ``CheckedCocoMetric`` or instead of it::

        test_evaluator = [
            dict(type='CheckedCocoMetric', metric='bbox'),
            dict(type='CytologyMetric'),
        ]

    It logs, under ``cytology/``, ``mAP`` (at ``iou_thr``), ``AP75``, ``coco_mAP``, ``AP_small``,
    ``AP_medium``, ``AP_large``, ``precision``, ``recall``, ``f1``, ``score_thr`` and ``mean_iou``
    (all classes in one list, at one score), ``sensitivity_1fp`` and so on, ``corloc``, ``ece``;
    with ``num_resamples``, ``mAP_low`` and ``mAP_high``; with ``classwise``, for each class
    ``<class>_AP``, ``_precision``, ``_recall``, ``_mean_iou``, ``_truths`` and ``_corloc``.
    Fractions, not percent; NaN where there is nothing to measure. docs/report.md explains each.

    Args:
        ann_file: COCO json of the truth, of the loader's images. None: what the loader has loaded
            (:class:`~ldwsccd_mmdet.engine.hooks.LoaderTruthHook` hands it over); without that hook,
            what the samples bring (``gt_instances`` and ``ignored_instances``, in pixels of the
            image file, as for ``VOCMetric``: load annotations after resizing).
        iou_thr: Overlap, in (0, 1], from which a detection counts as found.
        ap_mode: ``'coco'`` (101 recalls) or ``'voc'`` (VOC's matching and exact area) for ``mAP``.
        score_thr: Score of precision and recall; None: where F1 is highest, chosen on this very
            set, hence on the bright side.
        max_dets: Detections per image and class that count.
        rates: False positives an image at which sensitivity is read.
        size_bounds: Sides, in pixels, of the squares between small, medium and large boxes.
        calibration_score_thr: Least score of the detections in the calibration error.
        num_resamples: Bootstrap samples over images for the interval of mAP; 0: none.
        seed: Seed of the bootstrap.
        classwise: Whether to log each class too.
        backend: ``'pycocotools'``, ``'faster_coco_eval'`` with the package of that name, which
            gives the same sooner, or ``'auto'``: the second where it is installed.
        backend_args: How to read ``ann_file``, as in mmengine.
        collect_device: ``'cpu'`` or ``'gpu'``, where processes put their results together.
        prefix: Prefix of the logged names.
    """

    default_prefix = 'cytology'

    def __init__(
        self,
        ann_file: str | None = None,
        iou_thr: float = 0.5,
        ap_mode: str = 'coco',
        score_thr: float | None = None,
        max_dets: int = 100,
        rates: Sequence[float] = (1, 4, 16),
        size_bounds: tuple[float, float] = (32, 96),
        calibration_score_thr: float = 0.1,
        num_resamples: int = 1000,
        seed: int = 0,
        classwise: bool = True,
        backend: str = 'auto',
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.settings: dict[str, Any] = dict(
            iou_thr=iou_thr,
            ap_mode=ap_mode,
            score_thr=score_thr,
            max_dets=max_dets,
            rates=tuple(rates),
            size_bounds=tuple(size_bounds),
            calibration_score_thr=calibration_score_thr,
            num_resamples=num_resamples,
            seed=seed,
            backend=backend,
        )
        self.classwise = classwise
        self.read_truth(ann_file, backend_args)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the detections of one batch, and its truth if there is no annotation file.

        Args:
            data_batch: Not used.
            data_samples: Samples of the model, as dicts.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            truth = None if self.truth is not None else _sample_truth(sample)
            self.results.append((sample['img_id'], _arrays(found), truth))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Measure what all processes have collected.

        Args:
            results: What :meth:`process` kept, by image.
        """
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ConfigError(
                'CytologyMetric found no class names: add metainfo=dict(classes=(...)) to the data '
                'set of the config'
            )
        if self.truth is not None:
            truth, classes = self.truth, label_names(self.truth, classes)
        else:
            truth = _coco_of_samples([(i, gt) for i, _, gt in results], classes)
        predictions = {image_id: Detections(*found) for image_id, found, _ in results}
        metrics = evaluate_detections(truth, predictions, classes, **self.settings)
        warn_of_max_dets('CytologyMetric', metrics.matches.num_truths, self.settings['max_dets'])
        MMLogger.get_current_instance().info('\n' + _table(metrics))
        return _logged(metrics, self.classwise)


def _arrays(instances: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Turn predicted instances into arrays on the CPU."""
    return tuple(
        instances[key].detach().cpu().numpy().astype(kind)
        for key, kind in (('bboxes', np.float64), ('scores', np.float64), ('labels', np.int64))
    )


def _sample_truth(sample: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read the annotations of a sample; ignored ones count as VOC's difficult ones."""
    if 'gt_instances' not in sample:
        raise ConfigError(
            'CytologyMetric has no truth: give it ann_file, or load annotations in the test '
            "pipeline, dict(type='LoadAnnotations', with_bbox=True) after Resize, or add "
            "default_hooks=dict(loader_truth=dict(type='LoaderTruthHook'))"
        )
    rows = []
    for key, ignored in (('gt_instances', False), ('ignored_instances', True)):
        part = sample.get(key) or {}
        if 'bboxes' not in part:
            continue
        bboxes = getattr(part['bboxes'], 'tensor', part['bboxes'])  # mmdet's box type, or a tensor
        xyxy = bboxes.detach().cpu().numpy()
        xywh = np.hstack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]])
        for bbox, label in zip(xywh.tolist(), part['labels'].tolist(), strict=True):
            rows.append({'bbox': bbox, 'category_id': label, 'iscrowd': int(ignored)})
    return rows


def _coco_of_samples(truths: Sequence[tuple[int, list[dict]]], classes: Sequence[str]) -> COCO:
    """Index the annotations that samples brought along."""
    rows = [{**row, 'image_id': image_id} for image_id, part in truths for row in part]
    return index_truth(
        {
            'images': [{'id': image_id} for image_id, _ in truths],
            'categories': [{'id': i, 'name': name} for i, name in enumerate(classes)],
            'annotations': [{**row, 'id': i} for i, row in enumerate(rows, start=1)],
        },
        'samples',
    )


def _logged(metrics: DetectionMetrics, classwise: bool) -> dict[str, float]:
    """Name every value for the log."""
    pooled = metrics.pooled
    values = {
        'mAP': metrics.mean_ap,
        'AP75': metrics.mean(metrics.ap75),
        'coco_mAP': metrics.mean(metrics.coco_ap),
        **{
            f'AP_{size}': _known_mean(row)
            for size, row in zip(('small', 'medium', 'large'), metrics.size_ap, strict=True)
        },
        'precision': pooled.precision,
        'recall': pooled.recall,
        'f1': pooled.f1,
        'score_thr': pooled.score,
        'mean_iou': pooled.mean_iou,
        'truths': float(metrics.num_truths.sum()),
        **{
            f'sensitivity_{rate:g}fp': float(value)
            for rate, value in zip(metrics.rates, metrics.pooled_sensitivity, strict=True)
        },
        'corloc': metrics.mean(metrics.corloc),
        'ece': metrics.calibration.error,
    }
    if metrics.bootstrap is not None:
        values['mAP_low'], values['mAP_high'] = interval(metrics.bootstrap.mean_ap)
    if classwise:
        for i, (name, point) in enumerate(zip(metrics.classes, metrics.points, strict=True)):
            values[f'{name}_AP'] = float(metrics.ap[i])
            values[f'{name}_precision'] = point.precision
            values[f'{name}_recall'] = point.recall
            values[f'{name}_mean_iou'] = point.mean_iou
            values[f'{name}_truths'] = float(metrics.num_truths[i])
            values[f'{name}_corloc'] = float(metrics.corloc[i])
    return values


def _known_mean(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN if nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float('nan')


def _table(metrics: DetectionMetrics) -> str:
    """Write the classes as a table of text."""
    table = Table()
    headings = ('class', 'truths', 'AP', 'precision', 'recall', 'at score', 'mean IoU', 'CorLoc')
    for heading in headings:
        table.add_column(heading, justify='left' if heading == 'class' else 'right')

    def cell(value: float) -> str:
        return '-' if np.isnan(value) else f'{value:.3f}'

    rows = zip(
        metrics.classes, metrics.num_truths, metrics.ap, metrics.points, metrics.corloc, strict=True
    )
    for name, count, ap, point, corloc in rows:
        numbers = (ap, point.precision, point.recall, point.score, point.mean_iou, corloc)
        table.add_row(escape(name), str(count), *map(cell, numbers))
    pooled = metrics.pooled
    numbers = (
        metrics.mean_ap,
        pooled.precision,
        pooled.recall,
        pooled.score,
        pooled.mean_iou,
        metrics.mean(metrics.corloc),
    )
    table.add_row('all', str(metrics.num_truths.sum()), *map(cell, numbers))
    return table_text(table)


def table_text(table: Table) -> str:
    """Write a table of rich as plain text."""
    stream = io.StringIO()
    Console(emoji=False, file=stream, width=110).print(table)
    return stream.getvalue()
