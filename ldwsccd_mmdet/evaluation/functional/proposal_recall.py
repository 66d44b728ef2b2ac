"""How many cells the proposed regions reach: what no later stage can mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps

__all__ = ['ProposalRecall', 'proposal_recall']


@dataclass(frozen=True)
class ProposalRecall:
    """Share of the cells that a region reaches. K numbers of regions, T overlaps, C classes.

    Attributes:
        nums: Numbers of regions, the best of each image, ``(K,)``.
        ious: Overlaps (IoU) from which a cell counts as reached, ``(T,)``.
        recall: By number, overlap and class, ``(K, T, C)``; NaN for a class without a cell.
        recall_all: The same over all cells, ``(K, T)``.
        num_cells: Cells per class, ``(C,)``.
        mean_regions: Regions that an image has on average among its best ``nums``, ``(K,)``.
    """

    nums: np.ndarray
    ious: np.ndarray
    recall: np.ndarray
    recall_all: np.ndarray
    num_cells: np.ndarray
    mean_regions: np.ndarray


def proposal_recall(
    proposals: Sequence[np.ndarray],
    bboxes: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    num_classes: int,
    nums: Sequence[int] = (10, 32, 64, 128, 256),
    ious: Sequence[float] = (0.3, 0.5, 0.7),
) -> ProposalRecall:
    """Measure which cells the best regions of each image reach.

    A cell is reached if any of these regions overlaps it enough; one region may reach several.

    Args:
        proposals: Per image regions (R_i, 4), the best first, x1, y1, x2, y2.
        bboxes: Per image boxes of the cells (n_i, 4), in the same frame.
        labels: Per image classes of the cells (n_i,), in [0, C).
        num_classes: C.
        nums: Numbers of regions, each at least 1.
        ious: Overlaps, each in (0, 1].
    """
    nums_, ious_ = np.asarray(sorted(nums)), np.asarray(sorted(ious), float)
    best = [np.zeros((len(nums_), 0))]  # the largest overlap of each cell, by number of regions
    for regions, cells in zip(proposals, bboxes, strict=True):
        overlap = np.zeros((len(nums_), len(cells)))
        if len(regions) and len(cells):
            pairs = bbox_overlaps(
                torch.as_tensor(regions, dtype=torch.float64),
                torch.as_tensor(cells, dtype=torch.float64),
            )
            so_far = pairs.cummax(dim=0).values.numpy()
            overlap = so_far[np.minimum(nums_, len(regions)) - 1]
        best.append(overlap)
    reached = np.concatenate(best, axis=1)[:, None] >= ious_[:, None]  # (K, T, cells)
    label = np.concatenate([np.zeros(0, int), *labels]).astype(int)
    of_class = label[:, None] == np.arange(num_classes)  # (cells, C)
    num_cells = of_class.sum(axis=0)
    hits = (reached[..., None] & of_class).sum(axis=2)
    counts = np.array([len(regions) for regions in proposals])
    return ProposalRecall(
        nums=nums_,
        ious=ious_,
        recall=hits / np.where(num_cells > 0, num_cells, np.nan),
        recall_all=hits.sum(axis=2) / (len(label) or np.nan),
        num_cells=num_cells,
        mean_regions=np.minimum(counts, nums_[:, None]).mean(axis=1),
    )
