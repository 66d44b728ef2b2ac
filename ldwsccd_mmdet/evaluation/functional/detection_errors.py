"""What each wrong detection got wrong, and the confusion matrix with background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps

from .matching import Matches, group_places, match_across_classes

__all__ = ['DetectionErrors', 'KINDS', 'confusion_matrix', 'sort_errors']

#: Kinds of outcome of a detection; ``missed`` is of a truth.
KINDS = ('right', 'wrong class', 'duplicate', 'poor box', 'background', 'missed')
_POOR_IOU = 0.1  # a box that overlaps a cell this much was meant for it


@dataclass(frozen=True)
class DetectionErrors:
    """The detections of at least one score, sorted by what is wrong with them.

    Attributes:
        score_thr: The least score.
        det: The detections, as places in the matches, ``(d,)``.
        kind: Kind of each, as a place in :data:`KINDS`, ``(d,)``.
        truth: The truth that each one met or came nearest to, -1 for none, ``(d,)``.
        missed: Truths that no detection found, of whatever class, ``(m,)``.
    """

    score_thr: float
    det: np.ndarray
    kind: np.ndarray
    truth: np.ndarray
    missed: np.ndarray

    def count(self, kind: str) -> int:
        """Return how many there are of a kind."""
        if kind == 'missed':
            return len(self.missed)
        return int(np.count_nonzero(self.kind == KINDS.index(kind)))


def sort_errors(matches: Matches, score_thr: float) -> DetectionErrors:
    """Sort the detections of at least one score by kind, the first that fits.

    - right: met a free truth of its class, as in AP;
    - wrong class: of those left, met a free truth of another class (matched by pycocotools);
    - duplicate: overlaps, at ``iou_thr``, a truth that another detection has taken;
    - poor box: overlaps a truth of its class by 0.1 or more, but less than ``iou_thr``;
    - background: all others.

    A truth is missed if it is met by no detection, right or of the wrong class. Detections on
    crowds are left out.

    Args:
        matches: Detections and truths.
        score_thr: The least score; NaN keeps none.
    """
    kept = np.flatnonzero((matches.det_score >= score_thr) & ~matches.det_ignored)
    kind = np.zeros(len(kept), int)
    truth = matches.det_truth[kept].copy()
    taken = matches.truth_ignored.copy()
    taken[truth[truth >= 0]] = True

    rest = np.flatnonzero(truth < 0)
    truth[rest] = match_across_classes(matches, kept[rest], np.flatnonzero(~taken))
    kind[rest] = KINDS.index('wrong class')
    taken[truth[rest][truth[rest] >= 0]] = True
    missed = np.flatnonzero(~taken)

    rest = np.flatnonzero(truth < 0)
    kind[rest] = KINDS.index('background')
    counted = np.flatnonzero(~matches.truth_ignored)
    truths = group_places(matches.truth_image[counted])
    for image, group in group_places(matches.det_image[kept[rest]]).items():
        if image not in truths:
            continue
        mine, there = rest[group], counted[truths[image]]
        iou = bbox_overlaps(
            torch.from_numpy(matches.det_bbox[kept[mine]]),
            torch.from_numpy(matches.truth_bbox[there]),
        ).numpy()
        same = matches.det_label[kept[mine], None] == matches.truth_label[there]
        own = np.where(same, iou, 0)
        for name, table, least in (
            ('poor box', own, _POOR_IOU),
            ('duplicate', iou, matches.iou_thr),  # the last one wins
        ):
            fits = table.max(1) >= least
            kind[mine[fits]] = KINDS.index(name)
            truth[mine[fits]] = there[table.argmax(1)[fits]]
    return DetectionErrors(float(score_thr), kept, kind, truth, missed)


def confusion_matrix(matches: Matches, errors: DetectionErrors) -> np.ndarray:
    """Count truths by their class and the class that was detected.

    Args:
        matches: Detections and truths.
        errors: The detections that count.

    Returns:
        Truth in rows, detection in columns, the last of each is background, ``(C + 1, C + 1)``. The
        last column counts missed truths; the last row, duplicates, poor boxes and background.
    """
    background = len(matches.classes)
    table = np.zeros((background + 1, background + 1), int)
    met = errors.kind <= KINDS.index('wrong class')
    rows = np.where(met, np.append(matches.truth_label, 0)[errors.truth], background)
    np.add.at(table, (rows, matches.det_label[errors.det]), 1)
    np.add.at(table, (matches.truth_label[errors.missed], background), 1)
    return table
