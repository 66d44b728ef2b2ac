"""Boxes that may be cells, from the data set to the model."""

import numpy as np
import pytest
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, RandomCrop, RandomFlip

from ldwsccd_mmdet.datasets.transforms import LoadCellAnnotations, PackCellInputs

BOXES = [[0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60], [30, 5, 50, 15]]


def results(flags):
    return dict(
        img=np.zeros((64, 64, 3), np.uint8),
        img_shape=(64, 64),
        ori_shape=(64, 64),
        img_path='x.png',
        image_labels=(1,),
        supervision='box',
        instances=[
            dict(bbox=box, bbox_label=label, ignore_flag=flag)
            for label, (box, flag) in enumerate(zip(BOXES, flags, strict=False))
        ],
    )


def run(flags, *between):
    loaded = LoadCellAnnotations(with_bbox=True)(results(flags))
    for transform in between:
        loaded = transform(loaded)
    return PackCellInputs()(loaded)['data_samples']


def test_mined_boxes_get_their_probability():
    sample = run([0, 0.25, 1, 0.9])
    assert sample.gt_instances.labels.tolist() == [0, 1, 3]
    assert sample.gt_instances.probs.tolist() == pytest.approx([1, 0.75, 0.1])
    assert sample.ignored_instances.labels.tolist() == [2]
    assert sample.metainfo['image_labels'] == (1,)
    assert sample.metainfo['supervision'] == 'box'


def test_without_mined_boxes_it_is_mmdets():
    ours = run([0, 0, 1, 0])
    theirs = PackDetInputs(meta_keys=())(LoadAnnotations(with_bbox=True)(results([0, 0, 1, 0])))
    assert 'probs' not in ours.gt_instances
    for name in ('gt_instances', 'ignored_instances'):
        a, b = ours.get(name), theirs['data_samples'].get(name)
        assert a.keys() == b.keys()
        assert a.bboxes.tensor.tolist() == b.bboxes.tensor.tolist()


def test_no_box():
    assert len(run([]).gt_instances) == 0


def test_probabilities_go_with_their_boxes_through_a_crop():
    np.random.seed(0)
    for _ in range(8):
        sample = run(
            [0, 0.25, 1, 0.9], RandomFlip(0.5), RandomCrop((40, 40), allow_negative_crop=True)
        )
        prob = {0: 1.0, 1: 0.75, 3: 0.1}
        found = sample.gt_instances
        assert found.probs.tolist() == pytest.approx([prob[n] for n in found.labels.tolist()])


def test_mmdets_own_transforms_ignore_mined_boxes():
    packed = PackDetInputs(meta_keys=())(LoadAnnotations(with_bbox=True)(results([0, 0.25])))
    assert packed['data_samples'].gt_instances.labels.tolist() == [0]
    assert packed['data_samples'].ignored_instances.labels.tolist() == [1]
