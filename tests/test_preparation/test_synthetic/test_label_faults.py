import copy

import numpy as np
import pytest

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.preparation.synthetic import (
    LabelFaults,
    drop_boxes,
    image_labels_only,
    merge_clumps,
    swap_classes,
)


def _coco(boxes_per_image, num_classes=3):
    """Boxes given as (x, y, w, h, category_id), one list for each image."""
    annotations = []
    for image_id, boxes in enumerate(boxes_per_image, 1):
        for *bbox, category_id in boxes:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    bbox=bbox,
                    area=bbox[2] * bbox[3],
                    category_id=category_id,
                    iscrowd=0,
                )
            )
    return dict(
        info={},
        annotations=annotations,
        categories=[dict(id=i + 1, name=f'c{i}') for i in range(num_classes)],
        images=[
            dict(id=i + 1, file_name=f'{i}.jpg', image_labels=['c0'])
            for i in range(len(boxes_per_image))
        ],
    )


@pytest.fixture
def many():
    rng = np.random.default_rng(0)
    return _coco(
        [
            [(*rng.integers(0, 200, 2).tolist(), 10, 10, int(rng.integers(1, 4))) for _ in range(5)]
            for _ in range(40)
        ]
    )


@pytest.mark.parametrize('fraction', [0.0, 0.25, 0.5, 1.0])
def test_drop_boxes(many, fraction):
    before = copy.deepcopy(many)
    kept = drop_boxes(many, fraction, seed=1)
    assert many == before
    assert len(kept['annotations']) == 200 - round(200 * fraction)
    assert all(a in many['annotations'] for a in kept['annotations'])
    assert kept == drop_boxes(many, fraction, seed=1)
    if 0 < fraction < 1:
        assert kept != drop_boxes(many, fraction, seed=2)


@pytest.mark.parametrize('fraction', [0.0, 0.1, 1.0])
def test_swap_classes(many, fraction):
    before = copy.deepcopy(many)
    wrong = swap_classes(many, fraction, seed=1)
    assert many == before
    changed = [
        (a, b)
        for a, b in zip(many['annotations'], wrong['annotations'], strict=True)
        if a['category_id'] != b['category_id']
    ]
    assert len(changed) == round(200 * fraction)
    for a, b in changed:
        assert b['true_category_id'] == a['category_id'] and b['bbox'] == a['bbox']
        assert b['category_id'] in (1, 2, 3)


def test_swap_classes_needs_two_classes():
    one = _coco([[(0, 0, 5, 5, 1)]], num_classes=1)
    assert swap_classes(one, 0.0)['annotations'] == one['annotations']
    with pytest.raises(ConfigError, match='at least 2 categories'):
        swap_classes(one, 0.5)


def test_merge_clumps_makes_one_box_of_a_chain():
    coco = _coco(
        [
            # A chain: the ends do not touch each other. The middle one has the largest area.
            [(0, 0, 10, 10, 1), (8, 0, 30, 30, 2), (36, 5, 10, 10, 1), (100, 100, 10, 10, 3)],
            # The same place in another image belongs to no clump.
            [(0, 0, 10, 10, 1)],
        ]
    )
    merged = merge_clumps(coco)
    assert [(a['image_id'], a['bbox'], a['category_id']) for a in merged['annotations']] == [
        (1, [0, 0, 46, 30], 2),
        (1, [100, 100, 10, 10], 3),
        (2, [0, 0, 10, 10], 1),
    ]
    assert merged['annotations'][0]['merged_ids'] == [1, 2, 3]
    assert merged['annotations'][0]['area'] == 46 * 30


def test_merge_clumps_class_goes_by_area_not_by_number():
    coco = _coco([[(0, 0, 10, 10, 1), (5, 0, 10, 10, 1), (0, 5, 30, 30, 3)]])
    assert merge_clumps(coco)['annotations'][0]['category_id'] == 3


def test_merge_clumps_gap_and_fraction():
    pairs = _coco([[(0, 0, 10, 10, 1), (13, 0, 10, 10, 1)] for _ in range(20)])
    assert len(merge_clumps(pairs, gap=2)['annotations']) == 40
    assert len(merge_clumps(pairs, gap=3)['annotations']) == 20
    assert len(merge_clumps(pairs, 0.3, seed=5, gap=3)['annotations']) == 40 - 6
    assert merge_clumps(pairs, 0.0, gap=3)['annotations'] == pairs['annotations']
    assert merge_clumps(_coco([[], []]))['annotations'] == []


def test_image_labels_only(many):
    bare = image_labels_only(many)
    assert bare['annotations'] == []
    assert all(r['supervision'] == 'image' and r['image_labels'] == ['c0'] for r in bare['images'])
    half = image_labels_only(many, 0.5, seed=3)
    hidden = {r['id'] for r in half['images'] if r['supervision'] == 'image'}
    assert len(hidden) == 20
    assert {a['image_id'] for a in half['annotations']} == set(range(1, 41)) - hidden
    assert 'supervision' not in many['images'][0]


def test_all_faults_together(many):
    faults = LabelFaults(missing=0.5, wrong_class=0.1, clumps=1.0)
    faulty = faults.apply(many, seed=1)
    assert len(faulty['annotations']) <= 100
    assert any('true_category_id' in a for a in faulty['annotations'])
    assert [r['image_labels'] for r in faulty['images']] == [
        r['image_labels'] for r in many['images']
    ]
    assert LabelFaults().apply(many)['annotations'] == many['annotations']


@pytest.mark.parametrize('value', [-0.1, 1.01, float('nan'), 'half', True, None])
def test_bad_fractions_are_named(many, value):
    for function in (drop_boxes, swap_classes, merge_clumps, image_labels_only):
        with pytest.raises(ConfigError, match='fraction: expected a fraction from 0 to 1'):
            function(many, value)
    with pytest.raises(ConfigError, match='faults.missing'):
        LabelFaults(missing=value)


def test_negative_gap_is_named(many):
    with pytest.raises(ConfigError, match='gap'):
        merge_clumps(many, gap=-1)
