"""CorLoc and AP of pseudo-boxes."""

import json

import pytest
import torch
from mmdet.registry import METRICS

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.errors import ConfigError

CLASSES = ('lsil', 'hsil')


def instances(rows):
    """Rows (x1, y1, x2, y2, label, score)."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 6)
    return {'bboxes': table[:, :4], 'labels': table[:, 4].long(), 'scores': table[:, 5]}


def sample(img_id, found, truth):
    return {
        'img_id': img_id,
        'ori_shape': (100, 100, 3),
        'pred_instances': instances(found),
        'gt_instances': instances([(*row, 1.0) for row in truth]),
    }


A, B, FAR = (10, 10, 30, 30), (50, 50, 80, 80), (85, 0, 99, 14)
SAMPLES = [
    # the best box of lsil is right, that of hsil is not
    sample(1, [(*A, 0, 0.9), (*FAR, 0, 0.5), (*FAR, 1, 0.9), (*B, 1, 0.4)], [(*A, 0), (*B, 1)]),
    sample(2, [(*FAR, 0, 0.8)], [(*A, 0)]),
    sample(3, [], []),
]


def build(**kwargs):
    metric = METRICS.build({'type': 'PseudoBoxMetric', **kwargs})
    metric.dataset_meta = {'classes': CLASSES}
    return metric


def test_corloc_is_the_share_of_images_whose_best_box_is_right():
    metric = build()
    metric.process(None, SAMPLES)
    values = metric.evaluate(3)
    assert values['pseudo/lsil_corloc'] == 0.5 and values['pseudo/hsil_corloc'] == 0
    assert values['pseudo/corloc'] == 0.25
    assert 0 < values['pseudo/lsil_AP'] < 1 and values['pseudo/hsil_AP'] == pytest.approx(0.5)
    assert values['pseudo/boxes_per_image'] == pytest.approx(5 / 3)
    assert values['pseudo/lsil_area'] == pytest.approx(0.0196)
    assert values['pseudo/collapsed'] == 0


def test_truth_from_a_file_that_knows_more_images(tmp_path):
    boxes = [(1, 1, A), (1, 2, B), (2, 1, A), (9, 1, A)]
    content = {
        'images': [{'id': i} for i in (1, 2, 3, 9)],
        'categories': [{'id': 1, 'name': 'lsil'}, {'id': 2, 'name': 'hsil'}],
        'annotations': [
            {
                'id': n,
                'image_id': image,
                'category_id': category,
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'area': (x2 - x1) * (y2 - y1),
                'iscrowd': 0,
            }
            for n, (image, category, (x1, y1, x2, y2)) in enumerate(boxes, start=1)
        ],
    }
    (tmp_path / 'true.json').write_text(json.dumps(content))
    metric, plain = build(ann_file=str(tmp_path / 'true.json')), build()
    bare = [{**s, 'gt_instances': None} for s in SAMPLES]
    metric.process(None, bare)
    plain.process(None, SAMPLES)
    assert metric.evaluate(3) == plain.evaluate(3)


def test_warns_of_a_collapse(monkeypatch):
    said = []
    monkeypatch.setattr(
        'ldwsccd_mmdet.evaluation.metrics.pseudo_box_metric.print_log',
        lambda text, *rest: said.append(text),
    )
    metric = build(collapse={'min_boxes': 3})
    whole = (0, 0, 100, 99, 1, 0.9)
    metric.process(None, [sample(i, [whole], []) for i in range(3)])
    values = metric.evaluate(3)
    assert values['pseudo/collapsed'] == 1 and 'pseudo/corloc' not in values
    assert len(said) == 1 and 'hsil' in said[0] and 'audit_bags.py' in said[0]


def test_needs_class_names():
    metric = METRICS.build({'type': 'PseudoBoxMetric'})
    metric.process(None, SAMPLES)
    with pytest.raises(ConfigError, match='no class names'):
        metric.evaluate(3)
