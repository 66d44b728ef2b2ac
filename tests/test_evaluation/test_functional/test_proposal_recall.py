"""Recall of proposals against loops, and at its edges."""

import numpy as np
import pytest

from ldwsccd_mmdet.evaluation.functional.proposal_recall import proposal_recall


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def boxes(rng, count):
    low = rng.uniform(0, 30, (count, 2))
    return np.concatenate([low, low + rng.uniform(5, 30, (count, 2))], axis=1)


def test_equals_loops():
    rng = np.random.default_rng(0)
    proposals = [boxes(rng, n) for n in (20, 3, 0, 7)]
    cells = [boxes(rng, n) for n in (5, 4, 2, 0)]
    labels = [rng.integers(0, 3, len(c)) for c in cells]
    nums, ious = (1, 5, 50), (0.2, 0.4)
    result = proposal_recall(proposals, cells, labels, 4, nums, ious)
    for k, num in enumerate(nums):
        for t, thr in enumerate(ious):
            reached = [
                [any(iou(p, c) >= thr for p in image[:num]) for c in own]
                for image, own in zip(proposals, cells, strict=True)
            ]
            assert result.recall_all[k, t] == pytest.approx(np.mean(sum(reached, [])))
            for label in range(3):
                hits = [
                    hit
                    for own, row in zip(labels, reached, strict=True)
                    for la, hit in zip(own, row, strict=True)
                    if la == label
                ]
                assert result.recall[k, t, label] == pytest.approx(np.mean(hits))
    assert 0 < result.recall_all[0, 0] < result.recall_all[2, 0] < 1
    assert np.isnan(result.recall[:, :, 3]).all() and result.num_cells[3] == 0
    assert result.mean_regions.tolist() == [0.75, 3.25, 7.5]


def test_exact_overlap_counts():
    """A region of exactly half the cell's area, inside it."""
    result = proposal_recall(
        [np.array([[0, 0, 10, 5]])], [np.array([[0, 0, 10, 10]])], [np.array([0])], 1, (1,), (0.5,)
    )
    assert result.recall_all.item() == 1


def test_no_cell_at_all():
    result = proposal_recall([boxes(np.random.default_rng(0), 3)], [np.zeros((0, 4))], [[]], 2)
    assert np.isnan(result.recall_all).all() and result.num_cells.tolist() == [0, 0]
