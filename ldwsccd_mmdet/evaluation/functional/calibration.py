"""Whether a score of 0.8 means that 8 detections in 10 are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ['Calibration', 'calibration']


@dataclass(frozen=True)
class Calibration:
    """Detections in bins of equal width by score.

    Attributes:
        edges: Edges of the bins, ``(n + 1,)``.
        count: Detections in each bin, ``(n,)``.
        score: Their mean score, NaN for an empty bin, ``(n,)``.
        precision: Part of them that is right, NaN for an empty bin, ``(n,)``.
        error: Expected calibration error: mean of ``|precision - score|`` over the bins, weighted
            by their detections; in [0, 1], NaN without detections.
    """

    edges: np.ndarray
    count: np.ndarray
    score: np.ndarray
    precision: np.ndarray
    error: float


def calibration(
    score: np.ndarray, hit: np.ndarray, num_bins: int = 10, score_thr: float = 0.0
) -> Calibration:
    """Compare scores with the precision that they promise (detection ECE).

    Küppers et al., "Multivariate Confidence Calibration for Object Detection", CVPR workshops 2020,
    with bins over the score alone.

    Args:
        score: Scores in [0, 1], ``(n,)``.
        hit: Whether each detection is right, ``(n,)``.
        num_bins: Number of bins.
        score_thr: Detections below it are left out: thousands of boxes that nobody looks at would
            decide the value.
    """
    hit, score = hit[score >= score_thr], score[score >= score_thr]
    edges = np.linspace(0, 1, num_bins + 1)
    place = np.clip(np.digitize(score, edges[1:-1]), 0, num_bins - 1)
    count = np.bincount(place, minlength=num_bins)
    known = np.where(count > 0, count, np.nan)
    mean = np.bincount(place, score, num_bins) / known
    precision = np.bincount(place, hit, num_bins) / known
    error = np.nansum(np.abs(precision - mean) * count) / len(score) if len(score) else np.nan
    return Calibration(edges, count, mean, precision, float(error))
