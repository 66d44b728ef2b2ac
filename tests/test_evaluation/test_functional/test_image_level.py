import numpy as np
import pytest

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.evaluation import evaluate_detections
from ldwsccd_mmdet.evaluation.functional import roc_curve
from ldwsccd_mmdet.evaluation.functional.image_level import resampled_auc

BOX = (10, 10, 50, 50)


def pairs_won(score, present):
    """AUC by the definition: every image with a cell against every one without."""
    won = [
        1 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0
        for i in np.flatnonzero(present)
        for j in np.flatnonzero(~present)
    ]
    return np.mean(won) if won else np.nan


def test_auc_of_samples_equals_the_pairs_won():
    rng = np.random.default_rng(0)
    score = np.round(rng.random(20), 1)  # with ties
    present = rng.random(20) < 0.4
    weights = np.vstack([np.ones(20, int), rng.multinomial(20, np.full(20, 0.05), 5)])
    expected = [pairs_won(np.repeat(score, row), np.repeat(present, row)) for row in weights]
    np.testing.assert_allclose(resampled_auc(score, present, weights), expected)


def test_auc_is_the_area_under_the_curve():
    score = np.array([0.9, 0.9, 0.4, 0.0, 0.0])
    present = np.array([True, False, True, True, False])
    curve = roc_curve(score, present)
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    area = (np.diff(curve.fpr) * (curve.tpr[1:] + curve.tpr[:-1]) / 2).sum()
    assert area == pytest.approx(pairs_won(score, present))


@pytest.mark.parametrize('present', [True, False])
def test_auc_needs_both_kinds(present):
    assert np.isnan(resampled_auc(np.ones(3), np.full(3, present), np.ones((1, 3), int))).all()


def test_images_are_called_by_their_best_box(annotated, detections):
    truth = annotated({1: [(7, BOX)], 2: [(7, BOX)], 3: [(3, BOX)], 4: [], 5: []})
    found = {
        1: detections((0, 0, 5, 5, 0.2, 0), (90, 90, 99, 99, 0.8, 0)),  # boxes play no part
        2: detections((*BOX, 0.3, 0)),  # below the score
        3: detections((*BOX, 0.9, 1)),
        4: detections((*BOX, 0.7, 0)),
        5: detections(),
    }
    level = evaluate_detections(truth, found, score_thr=0.5, num_resamples=7).image_level
    # of hsil: image 1 is right, 2 is missed, 4 is a false alarm, 3 and 5 are rightly negative
    assert level.precision[0, 0] == 1 / 2
    assert level.recall[0, 0] == 1 / 2
    assert level.specificity[0, 0] == 2 / 3
    assert level.auc[0, 0] == pairs_won(level.score[:, 0], level.present[:, 0])
    # any cell: 1 and 3 right, 2 missed, 4 a false alarm, 5 negative
    assert level.precision[0, -1] == level.recall[0, -1] == 2 / 3
    assert level.specificity[0, -1] == 1 / 2
    # no image has scc
    assert np.isnan(level.recall[0, 2]) and level.specificity[0, 2] == 1
    assert level.auc.shape == (8, 4)
    hsil = evaluate_detections(truth, found, score_thr=0.5, targets=['hsil']).image_level
    assert hsil.recall[0, -1] == hsil.recall[0, 0] and hsil.targets == ('hsil',)


def test_target_that_is_none(annotated, detections):
    with pytest.raises(ConfigError, match=r"targets: expected classes among hsil.*\['lsil'\]"):
        evaluate_detections(annotated({1: []}), {1: detections()}, targets=['lsil'])
