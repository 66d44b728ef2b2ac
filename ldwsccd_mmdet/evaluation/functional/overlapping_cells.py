"""Cells that overlap others against cells that lie by themselves: the paper's open problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps

from .curves import resampled_ap
from .matching import Matches

__all__ = ['OverlapMetrics', 'overlap_metrics', 'overlapping_truths']

#: Part of a box that another one has to cover.
MIN_COVERED = 0.1


@dataclass(frozen=True)
class OverlapMetrics:
    """A detector on overlapping cells (first of each pair) and on separate ones (second).

    Attributes:
        num_truths: Truths, ``(2, C)``.
        ap: Average precision; the first of ``1 + B`` rows is the value, the others are bootstrap
            samples, ``(1 + B, 2, C)``; NaN without a truth.
        recall: Part of the truths of all classes that is found at the operating point, ``(2,)``.
    """

    num_truths: np.ndarray
    ap: np.ndarray
    recall: np.ndarray

    @property
    def mean_ap(self) -> np.ndarray:
        """Mean over the classes that have such truths, ``(1 + B, 2)``; NaN without one."""
        known = ~np.isnan(self.ap)
        count = np.where(known.any(2), known.sum(2), np.nan)
        return np.where(known, self.ap, 0).sum(2) / count


def overlapping_truths(matches: Matches, min_covered: float = MIN_COVERED) -> np.ndarray:
    """Tell which truths overlap: another of any class covers this part of the box, ``(G,)``.

    Args:
        matches: The truths.
        min_covered: Area of the intersection with one other box, divided by the box's own area.
    """
    overlapping = np.zeros(len(matches.truth_bbox), bool)
    order = np.argsort(matches.truth_image, kind='stable')
    _, starts = np.unique(matches.truth_image[order], return_index=True)
    for mine in np.split(order, starts)[1:]:
        boxes = torch.from_numpy(matches.truth_bbox[mine])
        covered = bbox_overlaps(boxes, boxes, mode='iof').fill_diagonal_(0)
        overlapping[mine] = covered.max(1).values.numpy() >= min_covered
    return overlapping


def overlap_metrics(matches: Matches, score_thr: float, weights: np.ndarray) -> OverlapMetrics:
    """Measure both groups of cells.

    As for COCO's sizes, truths of the other group, and the detections that met them, are left out.
    A false positive belongs to no cell, so it counts in both groups.

    Args:
        matches: Detections and truths.
        score_thr: Score of the operating point.
        weights: How often each image counts, ones in the first row, ``(1 + B, I)``.
    """
    overlapping = overlapping_truths(matches)
    num_classes = len(matches.classes)
    numbers, aps, recalls = [], [], []
    for group in (overlapping, ~overlapping):
        group = group & ~matches.truth_ignored
        truths = np.zeros_like(matches.num_truths)
        np.add.at(truths, (matches.truth_image[group], matches.truth_label[group]), 1)
        found = np.append(group, False)[matches.det_truth]  # the last stands for truth -1
        counted = found | (matches.det_truth < 0)
        columns = []
        for label in range(num_classes):
            mine = np.flatnonzero(counted & (matches.det_label == label))
            columns.append(
                resampled_ap(found[mine], matches.det_image[mine], truths[:, label], weights)
            )
        numbers.append(truths.sum(0))
        aps.append(np.stack(columns, axis=1))
        kept = int(np.count_nonzero(found & (matches.det_score >= score_thr)))
        recalls.append(kept / group.sum() if group.any() else np.nan)
    return OverlapMetrics(np.array(numbers), np.stack(aps, axis=1), np.array(recalls))
