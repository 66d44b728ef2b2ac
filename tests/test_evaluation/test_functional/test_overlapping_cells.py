import numpy as np
import pytest

from ldwsccd_mmdet.evaluation import evaluate_detections
from ldwsccd_mmdet.evaluation.functional import overlapping_truths

APART = (200, 200, 240, 240)
LEFT, RIGHT = (0, 0, 40, 40), (20, 0, 60, 40)  # half of each is covered


def test_overlap_is_of_any_class_and_of_the_own_area(annotated, detections):
    big = (100, 100, 200, 200)
    inside = (110, 110, 120, 120)  # wholly covered, and covers 1 % of the big one
    boxes = [(7, LEFT), (3, RIGHT), (5, APART), (7, big), (7, inside)]
    truth = annotated({1: boxes, 2: [(7, LEFT)]})
    matches = evaluate_detections(truth, {1: detections(), 2: detections()}).matches
    assert overlapping_truths(matches).tolist() == [True, True, False, False, True, False]


def test_each_group_by_itself(annotated, detections):
    truth = annotated({1: [(7, LEFT), (7, RIGHT), (7, APART)], 2: []})
    # NMS has taken one of the pair; a false positive above all
    found = {
        1: detections((*LEFT, 0.8, 0), (*APART, 0.7, 0)),
        2: detections((*LEFT, 0.9, 0)),
    }
    metrics = evaluate_detections(truth, found, score_thr=0.5, num_resamples=5)
    overlap = metrics.overlap
    assert overlap.num_truths[:, 0].tolist() == [2, 1]
    # recall 1/2 and 1 at precision 1/2, after the false positive
    assert overlap.ap[0, 0, 0] == pytest.approx(51 / 101 / 2)
    assert overlap.ap[0, 1, 0] == pytest.approx(1 / 2)
    assert overlap.recall.tolist() == [1 / 2, 1]
    assert overlap.ap.shape == (6, 2, 3) and np.isnan(overlap.ap[0, :, 1:]).all()


def test_groups_are_the_whole(random_set):
    truth, found = random_set(3)
    metrics = evaluate_detections(truth, found)
    np.testing.assert_array_equal(metrics.overlap.num_truths.sum(0), metrics.num_truths)


def test_truths_by_size(annotated, detections):
    small, edge, large = (0, 0, 10, 10), (0, 0, 32, 32), (0, 0, 150, 150)
    truth = annotated({1: [(7, small), (7, edge), (3, large), (3, large, {'iscrowd': 1})]})
    sizes = evaluate_detections(truth, {1: detections()}).matches.size_truths
    # COCO counts a box of exactly 32 x 32 on both sides; crowds need not be found
    assert sizes.tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 0]]
