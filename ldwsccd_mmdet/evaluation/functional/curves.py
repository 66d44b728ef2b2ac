"""From sorted detections to precision, recall, sensitivity and average precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = [
    'Curve',
    'OperatingPoint',
    'best_point',
    'detection_curve',
    'point_at',
    'resampled_ap',
    'resampled_sensitivity',
    'sensitivity_at',
]

_RECALLS = np.linspace(0, 1, 101)
AP_MODES = ('coco', 'voc')


@dataclass(frozen=True)
class Curve:
    """Precision and recall after each detection, best score first.

    Attributes:
        score: Score of the detection, ``(n,)``.
        true: True positives up to it, ``(n,)``.
        false: False positives up to it, ``(n,)``.
        num_truths: Truths that should be found.
    """

    score: np.ndarray
    true: np.ndarray
    false: np.ndarray
    num_truths: int

    @property
    def recall(self) -> np.ndarray:
        """Part of the truths that is found, ``(n,)``; NaN if there is none."""
        return self.true / (self.num_truths or np.nan)

    @property
    def precision(self) -> np.ndarray:
        """Part of the detections that is right, ``(n,)``."""
        return self.true / np.maximum(self.true + self.false, 1)


@dataclass(frozen=True)
class OperatingPoint:
    """A detector whose boxes below one score are thrown away.

    Attributes:
        score: That score; NaN if there is no detection to choose it by.
        precision: Part of the kept detections that is right; NaN if none is kept.
        recall: Part of the truths that is found; NaN if there is none.
        f1: ``2 TP / (detections + truths)``, the harmonic mean of both; NaN without truths.
        mean_iou: Mean overlap (IoU) of the true positives with their truths; NaN if there is none.
    """

    score: float
    precision: float
    recall: float
    f1: float
    mean_iou: float


def detection_curve(score: np.ndarray, hit: np.ndarray, num_truths: int) -> Curve:
    """Count right and wrong detections.

    Args:
        score: Scores, descending, ``(n,)``.
        hit: Whether each is a true positive, ``(n,)``.
        num_truths: Truths that should be found.
    """
    return Curve(score, np.cumsum(hit), np.cumsum(~hit), num_truths)


def point_at(curve: Curve, iou: np.ndarray, score_thr: float) -> OperatingPoint:
    """Keep the detections of at least one score.

    Args:
        curve: All detections.
        iou: Overlap of each true positive with its truth, NaN for the others, ``(n,)``.
        score_thr: The score.
    """
    kept = int(np.count_nonzero(curve.score >= score_thr))
    true = int(curve.true[kept - 1]) if kept else 0
    total = curve.num_truths
    overlap = iou[:kept][~np.isnan(iou[:kept])]
    return OperatingPoint(
        float(score_thr),
        true / kept if kept else np.nan,
        true / total if total else np.nan,
        2 * true / (kept + total) if total else np.nan,
        float(overlap.mean()) if overlap.size else np.nan,
    )


def best_point(curve: Curve, iou: np.ndarray) -> OperatingPoint:
    """Choose the score that gives the highest F1; of several, the highest score."""
    if not len(curve.score):
        return point_at(curve, iou, np.nan)
    f1 = 2 * curve.true / (curve.true + curve.false + max(curve.num_truths, 1))
    # detections of one score are kept or thrown away together
    last = np.append(curve.score[1:] != curve.score[:-1], True)
    return point_at(curve, iou, curve.score[np.argmax(np.where(last, f1, -1))])


def sensitivity_at(curve: Curve, num_images: int, rates: np.ndarray) -> np.ndarray:
    """Read the FROC curve: recall at so many false positives an image.

    Args:
        curve: All detections.
        num_images: Images, with cells or without.
        rates: False positives an image, on average over all images, ``(F,)``.

    Returns:
        The highest recall that stays within each rate, ``(F,)``; NaN if there is no truth. A
        detector that never makes so many false positives keeps its last recall.
    """
    within = np.searchsorted(curve.false, np.asarray(rates) * num_images, side='right')
    return np.append(0, curve.true)[within] / (curve.num_truths or np.nan)


def resampled_ap(
    hit: np.ndarray,
    image: np.ndarray,
    num_truths: np.ndarray,
    weights: np.ndarray,
    mode: str = 'coco',
) -> np.ndarray:
    """Average precision of one class, for several weightings of the images at once.

    The area under the curve of precision ``p`` over recall, made monotone: at each recall counts
    the best precision at this recall or a higher one. ``'coco'``: mean over the recalls 0, 0.01,
    ..., 1 (pycocotools). ``'voc'``: exact area (VOC 2010 and later).

    Args:
        hit: Whether each detection is right, best score first, ``(n,)``.
        image: Its image, ``(n,)``.
        num_truths: Truths in each image, ``(I,)``.
        weights: How often each image counts, ``(B, I)``; all ones for the plain value.
        mode: ``'coco'`` or ``'voc'``.

    Returns:
        In [0, 1], ``(B,)``; NaN where a weighting has no truth.
    """
    total = (weights @ num_truths).astype(float)
    total[total == 0] = np.nan
    if not hit.any():
        return np.where(np.isnan(total), np.nan, 0.0)
    ap = np.empty(len(weights))
    for rows, true, kept in _counts_at_hits(hit, image, weights):
        precision = true / np.maximum(kept, 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = true / total[rows, None]
        if mode == 'coco':  # how many of the 101 recalls are reached
            reached = np.searchsorted(_RECALLS, reached, side='right') / len(_RECALLS)
        steps = np.diff(reached, axis=1, prepend=0)
        ap[rows] = (steps * precision).sum(1)
    ap[np.isnan(total)] = np.nan
    return ap


def resampled_sensitivity(
    hit: np.ndarray,
    image: np.ndarray,
    num_truths: np.ndarray,
    weights: np.ndarray,
    rates: np.ndarray,
) -> np.ndarray:
    """Sensitivity as of :func:`sensitivity_at`, for several weightings of the images at once.

    Args:
        hit: Whether each detection is right, best score first, ``(n,)``.
        image: Its image, ``(n,)``.
        num_truths: Truths in each image, ``(I,)``.
        weights: How often each image counts, ``(B, I)``.
        rates: False positives an image, ``(F,)``.

    Returns:
        In [0, 1], ``(B, F)``; NaN where a weighting has no truth.
    """
    total = (weights @ num_truths).astype(float)
    total[total == 0] = np.nan
    result = np.zeros((len(weights), len(rates)))
    images = weights.sum(1, keepdims=True)
    for rows, true, kept in _counts_at_hits(hit, image, weights):
        false = kept - true
        for column, rate in enumerate(rates):
            within = (false <= rate * images[rows]).sum(1)
            result[rows, column] = np.where(
                within > 0, np.take_along_axis(true, np.maximum(within - 1, 0)[:, None], 1)[:, 0], 0
            )
    return result / total[:, None]


def _counts_at_hits(
    hit: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Count the right detections, and all, up to each right one; what is between changes no curve.

    Args:
        hit: Whether each detection is right, best score first, ``(n,)``; h of them are.
        image: Its image, ``(n,)``.
        weights: How often each image counts, ``(B, I)``.

    Yields:
        Rows of the weights, and both counts for them, ``(rows, h)``; nothing where h is 0.
    """
    ends = np.flatnonzero(hit)
    if not ends.size:
        return
    image = image[: ends[-1] + 1]
    starts = np.append(0, ends[:-1] + 1)
    small = weights.astype(np.int32)
    for rows in _chunks(len(weights), len(image)):
        count = small[rows][:, image]
        true = np.cumsum(count[:, ends], axis=1, dtype=np.int64)
        yield rows, true, np.cumsum(np.add.reduceat(count, starts, axis=1), axis=1, dtype=np.int64)


def _chunks(rows: int, columns: int, cells: int = 4_000_000) -> list[slice]:
    """Cut the rows of a large table into parts that fit into memory."""
    step = max(1, cells // max(columns, 1))
    return [slice(start, start + step) for start in range(0, rows, step)]
