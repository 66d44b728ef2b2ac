import copy

import numpy as np
import pytest
from mmdet.evaluation.functional import eval_map
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ldwsccd_mmdet.datasets.coco_json import index_truth, truth_boxes
from ldwsccd_mmdet.errors import ConfigError, ResultsError
from ldwsccd_mmdet.evaluation import evaluate_detections
from ldwsccd_mmdet.evaluation.functional import match_detections, matching

SEEDS = range(4)


def pycocotools_eval(truth, predictions, ious, max_dets=100):
    """Plain pycocotools, as its own demo uses it."""
    content = copy.deepcopy(truth.dataset)
    for ann in content['annotations']:
        ann['id'] += 1  # it takes the id 0 for "no match"
    truth = index_truth(content, 'test')
    cat_ids = [category['id'] for category in content['categories']]
    results = []
    for image_id, found in predictions.items():
        for (x1, y1, x2, y2), score, label in zip(
            found.bboxes, found.scores, found.labels, strict=True
        ):
            results.append(
                dict(
                    image_id=image_id,
                    category_id=cat_ids[label],
                    score=score,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                )
            )
    run = COCOeval(truth, truth.loadRes(results), 'bbox')
    run.params.iouThrs = np.array(ious)
    run.params.maxDets = [max_dets]
    run.evaluate()
    run.accumulate()
    precision = run.eval['precision'][..., 0]  # overlaps, recalls, categories by id, areas
    by_id = [sorted(cat_ids).index(cat_id) for cat_id in cat_ids]
    return np.where(precision[:, 0] > -1, precision.mean(1), np.nan)[:, by_id]


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('flags', [{}, {'iscrowd': 0.3, 'ignore': 0.2, 'difficult': 0.2}])
def test_equal_to_pycocotools(random_set, seed, flags):
    truth, predictions = random_set(seed, **flags)
    ious = [round(0.5 + 0.05 * i, 2) for i in range(10)]
    expected = pycocotools_eval(truth, predictions, ious)
    metrics = evaluate_detections(truth, predictions)
    assert_close(metrics.ap, expected[0, :, 0])
    assert_close(metrics.ap75, expected[5, :, 0])
    assert_close(metrics.coco_ap, expected[:, :, 0].mean(0))
    assert_close(metrics.size_ap, expected[0, :, 1:].T)
    assert 0.1 < metrics.mean_ap < 0.9


@pytest.mark.parametrize('iou_thr', [0.3, 0.6, 0.62])
def test_equal_to_pycocotools_at_other_overlaps(random_set, iou_thr):
    truth, predictions = random_set(9, iscrowd=0.2)
    expected = pycocotools_eval(truth, predictions, [iou_thr])
    assert_close(evaluate_detections(truth, predictions, iou_thr=iou_thr).ap, expected[0, :, 0])


def test_max_dets(random_set):
    truth, predictions = random_set(1)
    expected = pycocotools_eval(truth, predictions, [0.5], max_dets=2)
    metrics = evaluate_detections(truth, predictions, max_dets=2)
    assert_close(metrics.ap, expected[0, :, 0])
    counts = np.unique(
        metrics.matches.det_image * 3 + metrics.matches.det_label, return_counts=True
    )[1]
    assert counts.max() == 2


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('flags', [{}, {'iscrowd': 0.1, 'ignore': 0.2, 'difficult': 0.2}])
def test_equal_to_mmdet_voc(random_set, seed, flags):
    truth, predictions = random_set(seed, **flags)
    dets, annotations = [], []
    for image_id, found in sorted(predictions.items()):
        table = np.column_stack([found.bboxes, found.scores])
        dets.append([table[found.labels == label] for label in range(3)])
        ids, bboxes, labels = truth_boxes(truth, image_id)
        left_out = np.array(
            [any(truth.anns[i].get(k) for k in ('iscrowd', 'ignore', 'difficult')) for i in ids],
            bool,
        )
        annotations.append(
            dict(
                bboxes=bboxes[~left_out],
                labels=labels[~left_out],
                bboxes_ignore=bboxes[left_out],
                labels_ignore=labels[left_out],
            )
        )
    mean_ap, per_class = eval_map(dets, annotations, logger='silent', eval_mode='area')
    metrics = evaluate_detections(truth, predictions, ap_mode='voc')
    np.testing.assert_allclose(metrics.ap, [entry['ap'] for entry in per_class], atol=1e-6)
    assert metrics.mean_ap == pytest.approx(mean_ap, abs=1e-6)
    assert not np.allclose(metrics.ap, evaluate_detections(truth, predictions).ap)


@pytest.mark.parametrize('seed', SEEDS)
def test_faster_coco_eval_is_equal(random_set, seed):
    pytest.importorskip('faster_coco_eval', reason='the optional faster-coco-eval is not installed')
    truth, predictions = random_set(seed, iscrowd=0.2)
    expected = match_detections(truth, predictions, backend='pycocotools')
    found = match_detections(truth, predictions, backend='faster_coco_eval')
    np.testing.assert_array_equal(found.hit, expected.hit)
    np.testing.assert_array_equal(found.det_ignored, expected.det_ignored)
    np.testing.assert_array_equal(found.det_truth[found.hit], expected.det_truth[found.hit])
    assert_close(found.ap_grid, expected.ap_grid)


def test_auto_is_the_fast_backend_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(matching.importlib.util, 'find_spec', lambda name: None)
    assert matching.resolve_backend('auto') == 'pycocotools'
    monkeypatch.setattr(matching.importlib.util, 'find_spec', lambda name: object())
    assert matching.resolve_backend('auto') == 'faster_coco_eval'
    assert matching.resolve_backend('pycocotools') == 'pycocotools'


def test_unknown_backend(random_set):
    truth, predictions = random_set()
    with pytest.raises(ConfigError, match="backend is 'fast', expected one of pycocotools"):
        match_detections(truth, predictions, backend='fast')


def test_known_matches(annotated, detections):
    truth = annotated(
        {
            1: [(7, (10, 10, 30, 30)), (7, (50, 50, 70, 70)), (3, (80, 10, 99, 29))],
            4: [(7, (5, 5, 25, 25)), (7, (40, 40, 60, 60), {'iscrowd': 1})],
        }
    )
    predictions = {
        # a hit of hsil, a wrong class on flora, a shifted hsil of IoU 1/3
        1: detections((60, 50, 80, 70, 0.7, 0), (10, 10, 30, 30, 0.9, 0), (80, 10, 99, 29, 0.8, 2)),
        # a hit of IoU 0.6, and two in the crowd
        4: detections((5, 5, 25, 17, 0.6, 0), (42, 42, 58, 58, 0.5, 0), (44, 44, 58, 58, 0.4, 0)),
    }
    matches = match_detections(truth, predictions)
    assert matches.classes == ('hsil', 'flora', 'scc')
    assert matches.image_ids.tolist() == [1, 4]
    assert matches.det_score.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert matches.det_index.tolist() == [1, 2, 0, 0, 1, 2]
    assert matches.det_truth.tolist() == [0, -1, -1, 3, 4, 4]
    assert matches.hit.tolist() == [True, False, False, True, False, False]
    assert matches.det_ignored.tolist() == [False] * 4 + [True] * 2
    np.testing.assert_allclose(matches.det_iou[matches.hit], [1, 0.6], atol=1e-6)
    assert matches.num_truths.tolist() == [[2, 1, 0], [1, 0, 0]]


def test_classes_in_another_order(random_set):
    truth, predictions = random_set(2)
    turned = {
        i: type(p)(p.bboxes, p.scores, np.array([2, 1, 0])[p.labels])
        for i, p in predictions.items()
    }
    expected = evaluate_detections(truth, predictions)
    found = evaluate_detections(truth, turned, classes=('scc', 'flora', 'hsil'))
    assert_close(found.ap, expected.ap[::-1])
    assert found.classes == ('scc', 'flora', 'hsil')


@pytest.mark.parametrize('backend', ['pycocotools', 'faster_coco_eval'])
def test_no_detection_and_no_truth(annotated, detections, backend):
    pytest.importorskip(backend, reason='an optional package')
    truth = annotated({1: [(7, (0, 0, 10, 10))], 2: []})
    metrics = evaluate_detections(
        truth, {1: detections(), 2: detections()}, num_resamples=3, backend=backend
    )
    assert metrics.mean_ap == 0
    assert metrics.pooled.recall == 0
    assert np.isnan(metrics.pooled.precision)
    assert metrics.confusion[0].tolist() == [0, 0, 0, 1]
    assert metrics.pooled_sensitivity.tolist() == [0, 0, 0]
    assert np.isnan(metrics.calibration.error)

    metrics = evaluate_detections(
        annotated({1: []}), {1: detections((0, 0, 9, 9, 0.5, 1))}, num_resamples=3, backend=backend
    )
    assert np.isnan(metrics.mean_ap)
    assert np.isnan(metrics.pooled.recall)
    assert metrics.pooled.precision == 0
    assert metrics.confusion[3].tolist() == [0, 1, 0, 0]
    assert np.isnan(metrics.bootstrap.mean_ap).all()


@pytest.mark.parametrize(
    ('rows', 'classes', 'message'),
    [
        ({}, None, '1 of 1 images have no prediction'),
        ({1: [], 2: []}, None, '1 predictions have no image'),
        ({1: [(0, 0, 9, 9, 0.5, 3)]}, None, r'indices 3 to 3.* 3 classes \(hsil, flora, scc'),
        ({1: []}, ('hsil', 'lsil'), 'classes lsil .* not in the annotation file.*hsil, flora, scc'),
    ],
)
def test_sets_that_do_not_belong_together(annotated, detections, rows, classes, message):
    predictions = {image_id: detections(*part) for image_id, part in rows.items()}
    with pytest.raises(ResultsError, match=message):
        match_detections(annotated({1: []}), predictions, classes)


def test_no_image():
    with pytest.raises(ResultsError, match='no images'):
        empty = COCO()
        empty.dataset = {'images': [], 'annotations': [], 'categories': []}
        match_detections(empty, {})
