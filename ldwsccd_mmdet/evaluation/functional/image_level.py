"""Is there a target cell in the image? What a detector says of whole images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matching import Matches

__all__ = ['ImageLevel', 'RocCurve', 'image_level', 'resampled_auc', 'roc_curve']


@dataclass(frozen=True)
class RocCurve:
    """Sensitivity over the false-positive rate, from the strictest score to the laxest.

    Attributes:
        fpr: Part of the images without a cell that are called positive, from 0 to 1, ``(n,)``.
        tpr: Part of the images with a cell that are, ``(n,)``.
    """

    fpr: np.ndarray
    tpr: np.ndarray


@dataclass(frozen=True)
class ImageLevel:
    """Images taken as positive or negative by their best detection (eq. 1 and 2 of the paper).

    An image is positive for a class if it has a cell of it, and its score is that of its best
    detection of the class, 0 without one. Boxes play no part. I images, C classes; the last of
    ``C + 1`` columns stands for all target classes together. Of ``1 + B`` rows the first is the
    value, the others are the bootstrap samples. NaN where there is nothing to measure.

    Attributes:
        targets: Names of the target classes.
        present: Whether an image has such a cell, ``(I, C + 1)``.
        score: Its score in [0, 1], ``(I, C + 1)``.
        score_thr: Score from which an image is called positive.
        precision: TP / (TP + FP), eq. 1, ``(1 + B, C + 1)``.
        recall: TP / (TP + FN), eq. 2, or sensitivity, ``(1 + B, C + 1)``.
        specificity: TN / (TN + FP), ``(1 + B, C + 1)``.
        auc: Area under the ROC curve, ``(1 + B, C + 1)``.
    """

    targets: tuple[str, ...]
    present: np.ndarray
    score: np.ndarray
    score_thr: float
    precision: np.ndarray
    recall: np.ndarray
    specificity: np.ndarray
    auc: np.ndarray


def image_level(
    matches: Matches, score_thr: float, weights: np.ndarray, targets: tuple[str, ...] | None = None
) -> ImageLevel:
    """Measure a detector on whole images.

    Args:
        matches: Detections and truths; crowds are cells, too.
        score_thr: Score from which an image is called positive; NaN calls none so.
        weights: How often each image counts, ones in the first row, ``(1 + B, I)``.
        targets: Classes that make an image positive; None: all.
    """
    targets = matches.classes if targets is None else targets
    chosen = [matches.classes.index(name) for name in targets]
    shape = (len(matches.image_ids), len(matches.classes) + 1)
    present, score = np.zeros(shape, bool), np.zeros(shape)
    present[matches.truth_image, matches.truth_label] = True
    np.maximum.at(score, (matches.det_image, matches.det_label), matches.det_score)
    present[:, -1] = present[:, chosen].any(1)
    score[:, -1] = score[:, chosen].max(1, initial=0)
    called = (score >= score_thr) & (score > 0)
    counts = [weights @ table.astype(int) for table in (called & present, called & ~present)]
    true, false = counts
    positives, negatives = weights @ present.astype(int), weights @ (~present).astype(int)
    auc = [resampled_auc(score[:, c], present[:, c], weights) for c in range(shape[1])]
    return ImageLevel(
        targets=targets,
        present=present,
        score=score,
        score_thr=float(score_thr),
        precision=_part(true, true + false),
        recall=_part(true, positives),
        specificity=_part(negatives - false, negatives),
        auc=np.stack(auc, axis=1),
    )


def _part(count: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Divide; NaN where the total is 0."""
    return count / np.where(total > 0, total, np.nan)


def resampled_auc(score: np.ndarray, present: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, for several weightings of the images at once.

    It is the chance that an image with a cell has a higher score than one without, half for equal
    scores (Mann and Whitney's U, divided by the number of pairs).

    Args:
        score: Score of each image, ``(I,)``.
        present: Whether it has a cell, ``(I,)``.
        weights: How often each image counts, ``(B, I)``.

    Returns:
        In [0, 1], ``(B,)``; NaN where all images are of one kind.
    """
    order = np.argsort(score, kind='stable')
    _, starts = np.unique(score[order], return_index=True)
    weights, present = weights[:, order], present[order]
    with_cell = np.add.reduceat(weights * present, starts, axis=1)
    without = np.add.reduceat(weights * ~present, starts, axis=1)
    below = np.cumsum(without, axis=1) - without
    pairs = with_cell.sum(1) * without.sum(1)
    return _part((with_cell * (below + without / 2)).sum(1), pairs)


def roc_curve(score: np.ndarray, present: np.ndarray) -> RocCurve:
    """Call more and more images positive, the highest score first; equal scores go together.

    Args:
        score: Score of each image, ``(I,)``.
        present: Whether it has a cell, ``(I,)``; images of both kinds.
    """
    order = np.argsort(-score, kind='stable')
    last = np.append(np.diff(score[order]) != 0, True)
    true = np.cumsum(present[order])[last] / present.sum()
    false = np.cumsum(~present[order])[last] / (~present).sum()
    return RocCurve(np.append(0, false), np.append(0, true))
