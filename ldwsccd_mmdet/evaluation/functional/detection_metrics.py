"""All that is measured of a detector on an annotated set, per class and over all classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO

from ...errors import check_argument
from ..predictions import Detections
from .calibration import Calibration, calibration
from .curves import (
    AP_MODES,
    Curve,
    OperatingPoint,
    best_point,
    detection_curve,
    point_at,
    resampled_ap,
    resampled_sensitivity,
    sensitivity_at,
)
from .detection_errors import DetectionErrors, confusion_matrix, sort_errors
from .image_level import ImageLevel, image_level
from .matching import Matches, match_detections, voc_outcome
from .overlapping_cells import OverlapMetrics, overlap_metrics

__all__ = ['Bootstrap', 'DetectionMetrics', 'evaluate_detections', 'interval']

SIZES = ('small', 'medium', 'large')


@dataclass(frozen=True)
class Bootstrap:
    """The measures on sets of as many images, drawn from the images with replacement.

    Two detectors on the same images with the same seed are drawn alike, so that the differences of
    their samples are those of a paired bootstrap.

    Attributes:
        ap: Average precision per class, ``(B, C)``; NaN where a sample has no truth of it.
        sensitivity: Sensitivity over all classes, ``(B, F)``.
    """

    ap: np.ndarray
    sensitivity: np.ndarray

    @property
    def mean_ap(self) -> np.ndarray:
        """Mean over the classes that a sample has, ``(B,)``."""
        return _mean(self.ap, axis=1)


@dataclass(frozen=True)
class DetectionMetrics:
    """What :func:`evaluate_detections` measures. C classes, F rates of false positives.

    All values are fractions in [0, 1]; NaN where there is nothing to measure. The mean over classes
    is over those with a truth.

    Attributes:
        matches: Detections and truths, matched at the chosen overlap.
        ap_mode: How the area under the curve is taken, ``'coco'`` or ``'voc'``.
        ap: Average precision at the chosen overlap, ``(C,)``.
        ap75: COCO's AP at an overlap of 0.75, ``(C,)``.
        coco_ap: COCO's AP, mean over the overlaps 0.50, 0.55, ..., 0.95, ``(C,)``.
        size_ap: COCO's AP at the chosen overlap for small, medium and large boxes, ``(3, C)``.
        curves: Precision and recall after each detection, by class.
        points: By class, what is kept at the given score, or where the class has its highest F1.
        pooled_curve: The detections of all classes in one list.
        pooled: As ``points``, for one score for all classes.
        rates: False positives an image, ``(F,)``.
        sensitivity: Recall at these rates, each class by itself, ``(F, C)``.
        pooled_sensitivity: The same for all classes in one list, ``(F,)``.
        corloc: Part of the images with a class whose best detection of it is right, ``(C,)``.
        calibration: Scores against precision.
        errors: What is wrong with the detections kept at the score of ``pooled``.
        confusion: Truth by detection at that score, last is background, ``(C + 1, C + 1)``.
        image_level: Whole images, positive or negative at that score.
        overlap: Overlapping cells against separate ones.
        bootstrap: Samples for intervals, if asked for.
    """

    matches: Matches
    ap_mode: str
    ap: np.ndarray
    ap75: np.ndarray
    coco_ap: np.ndarray
    size_ap: np.ndarray
    curves: tuple[Curve, ...]
    points: tuple[OperatingPoint, ...]
    pooled_curve: Curve
    pooled: OperatingPoint
    rates: np.ndarray
    sensitivity: np.ndarray
    pooled_sensitivity: np.ndarray
    corloc: np.ndarray
    calibration: Calibration
    errors: DetectionErrors
    confusion: np.ndarray
    image_level: ImageLevel
    overlap: OverlapMetrics
    bootstrap: Bootstrap | None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.matches.classes

    @property
    def num_truths(self) -> np.ndarray:
        """Truths per class, crowds left out, ``(C,)``."""
        return self.matches.num_truths.sum(0)

    def mean(self, values: np.ndarray | Sequence[float]) -> float:
        """Mean over the classes that have a truth; values that are NaN are left out."""
        values = np.asarray(values, float)
        return float(_mean(np.where(self.num_truths > 0, values, np.nan)))

    @property
    def mean_ap(self) -> float:
        """Mean average precision at the chosen overlap."""
        return self.mean(self.ap)


def evaluate_detections(
    truth: COCO,
    predictions: Mapping[int, Detections],
    classes: Sequence[str] | None = None,
    iou_thr: float = 0.5,
    ap_mode: str = 'coco',
    score_thr: float | None = None,
    max_dets: int = 100,
    rates: Sequence[float] = (1, 4, 16),
    size_bounds: tuple[float, float] = (32, 96),
    calibration_score_thr: float = 0.1,
    num_resamples: int = 0,
    seed: int = 0,
    backend: str = 'auto',
    targets: Sequence[str] | None = None,
) -> DetectionMetrics:
    """Measure a detector on an annotated set.

    Args:
        truth: The annotated set.
        predictions: The detections of every image of the set, by image id.
        classes: Names of the classes that labels index; default: the file's, in its order.
        iou_thr: Overlap, in (0, 1], from which a detection counts as found.
        ap_mode: ``'coco'``: pycocotools' matching and 101 recalls. ``'voc'``: ``ap`` alone, and its
            samples, follow Pascal VOC (matching, difficult boxes, exact area under the curve).
        score_thr: Score of ``points`` and ``pooled``; None: each where F1 is highest.
        max_dets: Detections per image and class that count, the best scores first.
        rates: False positives an image at which sensitivity is read.
        size_bounds: Sides, in pixels, of the squares between small, medium and large boxes.
        calibration_score_thr: Least score of the detections in the calibration.
        num_resamples: Samples of the bootstrap over images; 0: none.
        seed: Seed of the samples.
        backend: ``'pycocotools'``, ``'faster_coco_eval'`` or ``'auto'``.
        targets: Classes whose cells make an image positive, see :class:`ImageLevel`; None: all.

    Raises:
        ResultsError: Predictions and annotations do not belong together.
        ConfigError: A setting is wrong.
    """
    check_argument(ap_mode in AP_MODES, 'ap_mode', f'one of {", ".join(AP_MODES)}', ap_mode)
    check_argument(0 < iou_thr <= 1, 'iou_thr', 'a number above 0, up to 1', iou_thr)
    matches = match_detections(truth, predictions, classes, iou_thr, max_dets, size_bounds, backend)
    if targets is not None:
        unknown = [name for name in targets if name not in matches.classes]
        expected = f'classes among {", ".join(matches.classes)}'
        check_argument(bool(targets) and not unknown, 'targets', expected, list(targets))
        targets = tuple(targets)
    return _measure(
        matches,
        ap_mode,
        score_thr,
        np.asarray(rates, float),
        calibration_score_thr,
        _image_weights(len(matches.image_ids), num_resamples, seed),
        targets,
    )


def _measure(
    matches: Matches,
    ap_mode: str,
    score_thr: float | None,
    rates: np.ndarray,
    calibration_score_thr: float,
    weights: np.ndarray,
    targets: tuple[str, ...] | None,
) -> DetectionMetrics:
    """Measure matched detections; the first row of the weights is for the values themselves."""
    num_classes, num_images = len(matches.classes), len(matches.image_ids)
    curves = tuple(_curve(matches, matches.det_label == c, c) for c in range(num_classes))
    points = [_point(curve, iou, score_thr) for curve, iou in curves]
    pooled_curve, pooled_iou = _curve(matches, np.ones(len(matches.det_score), bool))
    pooled = _point(pooled_curve, pooled_iou, score_thr)
    errors = sort_errors(matches, pooled.score)
    counted = ~matches.det_ignored
    ap = _class_ap(matches, weights, ap_mode)
    coco = np.array([_grid(matches, iou) for iou in np.linspace(0.5, 0.95, 10)])
    by_class = [sensitivity_at(curve, num_images, rates) for curve, _ in curves]
    return DetectionMetrics(
        matches=matches,
        ap_mode=ap_mode,
        ap=ap[0],
        ap75=_grid(matches, 0.75)[0],
        coco_ap=coco[:, 0].mean(0),
        size_ap=_grid(matches, matches.iou_thr)[1:],
        curves=tuple(curve for curve, _ in curves),
        points=tuple(points),
        pooled_curve=pooled_curve,
        pooled=pooled,
        rates=rates,
        sensitivity=np.array(by_class).reshape(num_classes, len(rates)).T,
        pooled_sensitivity=sensitivity_at(pooled_curve, num_images, rates),
        corloc=_corloc(matches),
        calibration=calibration(
            matches.det_score[counted], matches.hit[counted], score_thr=calibration_score_thr
        ),
        errors=errors,
        confusion=confusion_matrix(matches, errors),
        image_level=image_level(matches, pooled.score, weights, targets),
        overlap=overlap_metrics(matches, pooled.score, weights),
        bootstrap=_bootstrap(matches, ap[1:], weights[1:], rates) if len(weights) > 1 else None,
    )


def _image_weights(num_images: int, num_resamples: int, seed: int) -> np.ndarray:
    """Say how often each image counts: once, then as each sample draws it, ``(1 + B, I)``."""
    once = np.ones((1, num_images), int)
    if not num_resamples:
        return once
    drawn = np.random.default_rng(seed).multinomial(
        num_images, np.full(num_images, 1 / num_images), num_resamples
    )
    return np.vstack([once, drawn])


def _curve(
    matches: Matches, chosen: np.ndarray, label: int | slice = slice(None)
) -> tuple[Curve, np.ndarray]:
    """Return the curve of some detections, those on crowds left out, and their overlaps."""
    mine = np.flatnonzero(chosen & ~matches.det_ignored)
    truths = int(matches.num_truths[:, label].sum())
    curve = detection_curve(matches.det_score[mine], matches.hit[mine], truths)
    return curve, matches.det_iou[mine]


def _grid(matches: Matches, iou: float) -> np.ndarray:
    """Return COCO's AP at one overlap, ``(4, C)``."""
    return matches.ap_grid[int(np.argmin(np.abs(matches.ious - iou)))]


def _bootstrap(
    matches: Matches, ap: np.ndarray, weights: np.ndarray, rates: np.ndarray
) -> Bootstrap:
    """Put the samples together."""
    counted = ~matches.det_ignored
    sensitivity = resampled_sensitivity(
        matches.hit[counted],
        matches.det_image[counted],
        matches.num_truths.sum(1),
        weights,
        rates,
    )
    return Bootstrap(ap, sensitivity)


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the middle part of bootstrap samples (percentile interval), NaN left out."""
    samples = samples[~np.isnan(samples)]
    if not samples.size:
        return np.nan, np.nan
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Mean without NaN; NaN, without a warning, where nothing is left."""
    known = ~np.isnan(values)
    count = np.where(known.any(axis), known.sum(axis), np.nan)
    return np.where(known, values, 0).sum(axis) / count


def _point(curve: Curve, iou: np.ndarray, score_thr: float | None) -> OperatingPoint:
    """Take the given score, or the best."""
    return best_point(curve, iou) if score_thr is None else point_at(curve, iou, score_thr)


def _class_ap(matches: Matches, weights: np.ndarray, mode: str) -> np.ndarray:
    """Average precision of each class under each weighting of the images, ``(B, C)``."""
    if mode == 'voc':
        hit, left_out = voc_outcome(matches)
        truths = np.zeros_like(matches.num_truths)
        counted = ~matches.truth_difficult
        np.add.at(truths, (matches.truth_image[counted], matches.truth_label[counted]), 1)
    else:
        hit, left_out, truths = matches.hit, matches.det_ignored, matches.num_truths
    columns = []
    for label in range(len(matches.classes)):
        mine = np.flatnonzero((matches.det_label == label) & ~left_out)
        image = matches.det_image[mine]
        columns.append(resampled_ap(hit[mine], image, truths[:, label], weights, mode))
    return np.stack(columns, axis=1)


def _corloc(matches: Matches) -> np.ndarray:
    """Part of the images with a class in which its best detection is right, ``(C,)``."""
    num_classes = len(matches.classes)
    keys = matches.det_image * num_classes + matches.det_label
    _, first = np.unique(keys, return_index=True)  # the best, since scores descend
    right = np.zeros(matches.num_truths.shape, bool)
    right[matches.det_image[first], matches.det_label[first]] = matches.hit[first]
    has = matches.num_truths > 0
    return (right & has).sum(0) / np.where(has.any(0), has.sum(0), np.nan)
