"""Which classes image labels cannot teach."""

import json
import math

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from ldwsccd_mmdet.datasets.bag_audit import audit_bags, bag_labels, by_image_labels
from ldwsccd_mmdet.models.detectors.supervision import Supervision

CLASSES = ('nilm', 'lsil', 'scc', 'agc')


def image(*labels, crowd=(), **record):
    instances = [dict(bbox_label=label) for label in labels]
    instances += [dict(bbox_label=label, ignore_flag=1) for label in crowd]
    return dict(instances=instances, **record)


def test_counts():
    records = [
        image(0, 0, 1),
        image(0),
        image(0, 0, 0, crowd=(2,)),
        image(1, 1, supervision='image', image_labels=(0, 2)),
        image(supervision='image', image_labels=()),
    ]
    audit = audit_bags(records, CLASSES, ubiquitous=0.7)
    assert audit.num_images == 5 and audit.empty == 1 and audit.image_only == 2
    assert audit.bags.tolist() == [4, 1, 1, 0]
    assert audit.cells.tolist() == [6, 1, 0, 0]  # boxes of an image-only record do not count
    np.testing.assert_allclose(audit.cells_per_bag, [2, 1, np.nan, np.nan])
    assert audit.labels_per_image == 6 / 5
    assert audit.cells_per_image == 7 / 3
    assert audit.everywhere == ['nilm'] and audit.nowhere == ['agc']
    first, second = audit.problems
    assert 'nilm (4 of 5)' in first and 'supervision "box"' in first
    assert 'classes in no image: agc' in second


@pytest.mark.parametrize(
    ('record', 'box', 'as_image', 'mixed'),
    [
        (image(0, 1), [0, 1], [], [0, 1]),
        (image(0, image_labels=(2,)), [0], [2], [0, 2]),
        (image(0, image_labels=(2,), supervision='image'), [0], [2], [2]),
        (image(image_labels=(1, 2)), [], [1, 2], [1, 2]),
        (image(), [], [], []),
    ],
)
def test_labels_by_regime(record, box, as_image, mixed):
    """The same classes as those that the detector's supervision takes."""
    sample = DetDataSample(metainfo={k: v for k, v in record.items() if k != 'instances'})
    labels = torch.tensor([cell['bbox_label'] for cell in record['instances']], dtype=torch.long)
    sample.gt_instances = InstanceData(labels=labels, bboxes=torch.zeros(len(labels), 4))
    for regime, expected in (('box', box), ('image', as_image), ('mixed', mixed)):
        assert np.flatnonzero(bag_labels(record, 4, regime)).tolist() == expected
        supervision = Supervision(regime)
        if regime == 'image' and 'image_labels' not in record:
            continue  # there it is an error
        known = supervision.known([sample], torch.device('cpu'))
        taken = supervision.image_labels([sample], known, 4, torch.device('cpu'))
        assert taken[0].nonzero().flatten().tolist() == expected
        assert supervision.by_image_labels(sample) == by_image_labels(record, regime)


def test_the_border_is_more_than():
    records = [image(0)] * 19 + [image(1)]
    assert audit_bags(records, CLASSES[:2]).everywhere == []
    audit = audit_bags(records + [image(0)], CLASSES[:2])
    assert audit.everywhere == ['nilm']
    assert 'rely on their boxes' in audit.problems[0]


def test_json_has_no_nan():
    content = audit_bags([image(supervision='image', image_labels=(1,))], CLASSES).as_dict()
    text = json.dumps(content, allow_nan=False)
    assert json.loads(text)['classes']['lsil'] == {
        'bags': 1,
        'share': 1.0,
        'cells': 0,
        'cells_per_bag': None,
    }
    assert content['cells_per_image'] is None and content['everywhere'] == ['lsil']


def test_a_set_that_can_be_learnt_has_no_problem():
    audit = audit_bags([image(0), image(1), image(2), image(3), image()], CLASSES)
    assert audit.problems == [] and not math.isnan(audit.cells_per_image)
    assert audit_bags([], CLASSES).nowhere == list(CLASSES)
