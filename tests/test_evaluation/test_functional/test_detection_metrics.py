import copy

import numpy as np
import pytest

from ldwsccd_mmdet.datasets.coco_json import index_truth
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.evaluation import Detections, evaluate_detections
from ldwsccd_mmdet.evaluation.functional import KINDS, calibration, interval
from ldwsccd_mmdet.evaluation.functional.curves import resampled_ap, resampled_sensitivity


@pytest.mark.parametrize('mode', ['coco', 'voc'])
def test_bootstrap_is_evaluation_of_repeated_images(random_set, mode):
    """A resample that has an image twice has the AP of a set with a copy of that image."""
    truth, predictions = random_set(3, iscrowd=0.2)
    metrics = evaluate_detections(truth, predictions, ap_mode=mode, num_resamples=4, seed=5)
    image_ids = sorted(truth.imgs)
    size = len(image_ids)
    drawn = np.random.default_rng(5).multinomial(size, np.full(size, 1 / size), 4)
    for sample, counts in enumerate(drawn):
        images, anns, copies = [], [], {}
        for image_id in np.repeat(image_ids, counts).tolist():
            new_id = len(images)
            images.append({'id': new_id})
            copies[new_id] = predictions[image_id]
            for ann in truth.imgToAnns[image_id]:
                anns.append({**copy.deepcopy(ann), 'id': len(anns), 'image_id': new_id})
        content = dict(images=images, annotations=anns, categories=truth.dataset['categories'])
        expected = evaluate_detections(index_truth(content, ''), copies, ap_mode=mode)
        # copies have equal scores, whose order is open: only their envelope differs
        np.testing.assert_allclose(metrics.bootstrap.ap[sample], expected.ap, atol=0.03)
        np.testing.assert_allclose(
            metrics.bootstrap.sensitivity[sample], expected.pooled_sensitivity, atol=0.05
        )


def test_weights_of_one_give_the_plain_values(random_set):
    truth, predictions = random_set(4)
    metrics = evaluate_detections(truth, predictions)
    matches = metrics.matches
    ones = np.ones((2, len(matches.image_ids)), int)
    found = resampled_sensitivity(
        matches.hit, matches.det_image, matches.num_truths.sum(1), ones, metrics.rates
    )
    np.testing.assert_allclose(found, [metrics.pooled_sensitivity] * 2)


def test_samples_depend_on_the_seed_alone(random_set):
    truth, predictions = random_set(4)
    first, again, other = (
        evaluate_detections(truth, predictions, num_resamples=20, seed=seed).bootstrap.mean_ap
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    low, high = interval(first)
    assert first.min() <= low < high <= first.max()


def test_interval_covers_the_truth():
    """Of sets drawn from one detector, about 95 % of the intervals hold its true AP."""
    rng = np.random.default_rng(0)
    images, per_image = 60, 5
    # each of 5 cells is found with chance 0.7, and nothing else is: AP is the recall
    covered = 0
    for _ in range(200):
        found = rng.random((images, per_image)) < 0.7
        image = np.repeat(np.arange(images), found.sum(1))
        weights = rng.multinomial(images, np.full(images, 1 / images), 200)
        truths = np.full(images, per_image)
        samples = resampled_ap(np.ones(len(image), bool), image, truths, weights, 'voc')
        low, high = interval(samples)
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_operating_points_by_brute_force(random_set):
    truth, predictions = random_set(6, iscrowd=0.1)
    metrics = evaluate_detections(truth, predictions)
    matches = metrics.matches
    for label in range(3):
        mine = (matches.det_label == label) & ~matches.det_ignored
        total = metrics.num_truths[label]
        best = (-1.0, 0.0)
        for score in sorted(set(matches.det_score[mine])):
            kept = mine & (matches.det_score >= score)
            true = matches.hit[kept].sum()
            best = max(best, (2 * true / (kept.sum() + total), score))
        point = metrics.points[label]
        assert (point.f1, point.score) == pytest.approx(best)
        kept = mine & (matches.det_score >= point.score)
        assert point.precision == pytest.approx(matches.hit[kept].mean())
        assert point.recall == pytest.approx(matches.hit[kept].sum() / total)
        assert point.mean_iou == pytest.approx(np.nanmean(matches.det_iou[kept]))


def test_given_score(random_set):
    truth, predictions = random_set(6)
    metrics = evaluate_detections(truth, predictions, score_thr=0.5)
    assert all(point.score == 0.5 for point in metrics.points)
    kept = metrics.matches.det_score >= 0.5
    assert metrics.pooled.precision == pytest.approx(metrics.matches.hit[kept].mean())
    assert metrics.errors.score_thr == 0.5


def test_equal_scores_are_kept_together(annotated, detections):
    truth = annotated({1: [(7, (0, 0, 10, 10))]})
    predictions = {1: detections((0, 0, 10, 10, 0.5, 0), (50, 50, 60, 60, 0.5, 0))}
    point = evaluate_detections(truth, predictions).points[0]
    assert (point.score, point.precision, point.recall) == (0.5, 0.5, 1)


def test_froc_by_brute_force(random_set):
    truth, predictions = random_set(7)
    metrics = evaluate_detections(truth, predictions, rates=(0.5, 1, 4, 99))
    matches = metrics.matches
    for column, rate in enumerate(metrics.rates):
        best = 0.0
        for stop in range(len(matches.hit) + 1):
            if (~matches.hit[:stop]).sum() / len(matches.image_ids) <= rate:
                best = matches.hit[:stop].sum() / matches.num_truths.sum()
        assert metrics.pooled_sensitivity[column] == pytest.approx(best)
    assert (np.diff(metrics.pooled_sensitivity) >= 0).all()
    assert metrics.pooled_sensitivity[0] < metrics.pooled_sensitivity[-1]


def test_corloc(annotated, detections):
    truth = annotated(
        {
            1: [(7, (0, 0, 10, 10)), (7, (50, 50, 60, 60))],
            2: [(7, (0, 0, 10, 10))],
            3: [(7, (0, 0, 10, 10))],
            4: [(7, (0, 0, 10, 10), {'iscrowd': 1})],
            5: [],
        }
    )
    predictions = {
        1: detections((50, 50, 60, 60, 0.9, 0), (90, 90, 99, 99, 0.8, 0)),
        2: detections((0, 0, 10, 10, 0.3, 0), (90, 90, 99, 99, 0.8, 0)),  # the best one is wrong
        3: detections((0, 0, 10, 10, 0.9, 1)),  # of another class
        4: detections((0, 0, 10, 10, 0.9, 0)),  # a crowd does not count
        5: detections((0, 0, 10, 10, 0.9, 0)),
    }
    corloc = evaluate_detections(truth, predictions).corloc
    assert corloc[0] == pytest.approx(1 / 3)
    assert np.isnan(corloc[1:]).all()


def test_calibration():
    score = np.array([0.95, 0.95, 0.85, 0.85, 0.05])
    hit = np.array([True, True, True, False, False])
    found = calibration(score, hit)
    assert found.count.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 2, 2]
    assert found.precision[[0, 8, 9]] == pytest.approx([0, 0.5, 1])
    assert found.error == pytest.approx((1 * 0.05 + 2 * 0.35 + 2 * 0.05) / 5)
    assert calibration(score, hit, score_thr=0.5).error == pytest.approx((2 * 0.35 + 2 * 0.05) / 4)
    assert np.isnan(calibration(score[:0], hit[:0]).error)
    # scores that keep their promise
    rng = np.random.default_rng(0)
    score = rng.random(20_000)
    assert calibration(score, rng.random(20_000) < score).error < 0.02


def test_errors_and_confusion(annotated, detections):
    truth = annotated(
        {
            1: [
                (7, (0, 0, 20, 20)),
                (3, (40, 0, 60, 20)),
                (5, (80, 0, 100, 20)),
                (7, (0, 50, 20, 70)),
                (3, (40, 50, 60, 70), {'iscrowd': 1}),
            ]
        }
    )
    rows = {
        'right': (0, 0, 20, 20, 0.95, 0),
        'duplicate': (1, 0, 20, 20, 0.9, 0),
        'duplicate, other class': (0, 1, 20, 20, 0.85, 2),
        'wrong class': (40, 0, 60, 20, 0.8, 2),
        'poor box': (80, 0, 100, 6, 0.7, 2),
        'background': (150, 150, 170, 170, 0.6, 1),
        'badly placed, other class': (80, 0, 100, 7, 0.55, 0),
        'in the crowd': (42, 52, 58, 68, 0.5, 1),
        'below': (0, 50, 20, 70, 0.1, 0),
    }
    metrics = evaluate_detections(truth, {1: detections(*rows.values())}, score_thr=0.3)
    errors = metrics.errors
    assert [KINDS[kind] for kind in errors.kind] == [
        'right',
        'duplicate',
        'duplicate',
        'wrong class',
        'poor box',
        'background',
        'background',
    ]
    assert errors.truth.tolist() == [0, 0, 0, 1, 2, -1, -1]
    assert errors.missed.tolist() == [2, 3]
    assert [errors.count(kind) for kind in KINDS] == [1, 1, 2, 1, 2, 2]
    assert metrics.confusion.tolist() == [
        [1, 0, 0, 1],  # hsil: found, and missed
        [0, 0, 1, 0],  # flora taken for scc
        [0, 0, 0, 1],
        [2, 1, 2, 0],  # no cell, or one taken before
    ]


@pytest.mark.parametrize('seed', range(3))
def test_confusion_adds_up(random_set, seed):
    truth, predictions = random_set(seed, iscrowd=0.2)
    metrics = evaluate_detections(truth, predictions)
    errors = metrics.errors
    assert metrics.confusion[:-1].sum(1).tolist() == metrics.num_truths.tolist()
    assert metrics.confusion[:, :-1].sum() == len(errors.det)
    assert np.trace(metrics.confusion) == errors.count('right')
    kept = ~metrics.matches.det_ignored & (metrics.matches.det_score >= errors.score_thr)
    assert errors.count('right') == metrics.matches.hit[kept].sum()
    off = metrics.confusion[:-1, :-1].sum() - np.trace(metrics.confusion[:-1, :-1])
    assert off == errors.count('wrong class')
    assert metrics.confusion[:-1, -1].sum() == errors.count('missed')


def test_means_leave_out_classes_without_truth(annotated, detections):
    truth = annotated({1: [(7, (0, 0, 10, 10))]})
    metrics = evaluate_detections(truth, {1: detections((0, 0, 10, 10, 0.9, 0))})
    assert metrics.mean_ap == pytest.approx(1)
    assert np.isnan(metrics.ap[1:]).all()
    assert metrics.mean([0.5, 1, 1]) == 0.5


@pytest.mark.parametrize(
    ('settings', 'message'),
    [(dict(ap_mode='11points'), 'ap_mode'), (dict(iou_thr=0), 'iou_thr: .* found 0')],
)
def test_wrong_settings(annotated, settings, message):
    empty = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    with pytest.raises(ConfigError, match=message):
        evaluate_detections(annotated({1: []}), {1: empty}, **settings)
