from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.preparation.dimension_clusters import box_sizes, dimension_clusters, shape_iou
from tests.commands import run_door


def brute_iou(a, b):
    inter = min(a[0], b[0]) * min(a[1], b[1])
    return inter / (a[0] * a[1] + b[0] * b[1] - inter)


def test_shape_iou_equals_the_loop():
    a, b = np.random.default_rng(0).uniform(1, 50, (2, 7, 2))
    expected = [[brute_iou(x, y) for y in b[:3]] for x in a]
    np.testing.assert_allclose(shape_iou(a, b[:3]), expected)


def test_groups_are_found():
    rng = np.random.default_rng(0)
    centres = np.array([[10, 10], [80, 20], [100, 120]])
    sizes = np.concatenate(
        [c * rng.uniform(0.95, 1.05, (n, 2)) for c, n in zip(centres, (60, 30, 10), strict=True)]
    )
    found = dimension_clusters(sizes, 3)
    np.testing.assert_allclose(found.anchors, centres, rtol=0.03)
    np.testing.assert_allclose(found.shares, [0.6, 0.3, 0.1])
    assert found.mean_iou == pytest.approx(shape_iou(sizes, found.anchors).max(axis=1).mean())


def test_is_as_good_as_every_split_in_two():
    """Against all partitions of eight boxes, each represented by its mean."""
    sizes = np.random.default_rng(1).uniform(5, 60, (8, 2))
    best = 0.0
    for choice in itertools.product((False, True), repeat=7):
        first = np.array((True, *choice))
        if first.all():
            continue
        means = np.stack([sizes[first].mean(axis=0), sizes[~first].mean(axis=0)])
        best = max(best, shape_iou(sizes, means).max(axis=1).mean())
    assert dimension_clusters(sizes, 2).mean_iou >= 0.99 * best


def test_one_anchor_one_a_box_and_too_many():
    sizes = np.array([[10.0, 20.0], [30.0, 20.0], [30.0, 20.0]])
    whole = dimension_clusters(sizes[:1], 1)
    assert whole.anchors.tolist() == [[10, 20]] and whole.mean_iou == 1
    assert dimension_clusters(sizes, 2).mean_iou == 1
    for wrong in (0, 3):
        with pytest.raises(ConfigError, match='num_anchors: expected 1 to 2'):
            dimension_clusters(sizes, wrong)


@pytest.fixture
def annotations(tmp_path):
    def write(boxes):
        content = dict(
            images=[
                dict(id=1, file_name='a.png', width=200, height=100),
                dict(id=2, file_name='b.png', width=100, height=100),
            ],
            categories=[dict(id=1, name='cell')],
            annotations=[
                dict(
                    id=i,
                    image_id=image,
                    category_id=1,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=crowd,
                )
                for i, (image, box, crowd) in enumerate(boxes, start=1)
            ],
        )
        path = tmp_path / 'train.json'
        path.write_text(json.dumps(content))
        return path

    return write


BOXES = [(1, [0, 0, 20, 10], 0), (2, [5, 5, 50, 40], 0), (2, [5, 5, 90, 90], 1)]


def test_boxes_are_scaled_as_resize_does(annotations):
    path = annotations(BOXES)
    assert box_sizes(str(path)).tolist() == [[20, 10], [50, 40]]
    assert box_sizes(str(path), (50, 50)).tolist() == [[5, 5], [25, 20]]
    assert box_sizes(str(path), (50, 50), keep_ratio=True).tolist() == [[5, 2.5], [25, 20]]
    with pytest.raises(DatasetError, match='no boxes'):
        box_sizes(str(annotations([])))


def test_the_command_prints_what_a_config_takes(annotations, tmp_path, capsys):
    path, table = annotations(BOXES), tmp_path / 'anchors.csv'
    tool = 'tools/analysis_tools/optimize_anchors.py'
    assert run_door(tool, path, '--size', 50, '--num', 2, '--csv', table) == 0
    out = capsys.readouterr().out
    assert '2 boxes, 2 anchors, mean IoU 100.0 %' in out
    assert 'base_sizes=[[(5.0, 5.0), (25.0, 20.0)]]' in out
    assert table.read_text().splitlines() == [
        'width,height,share',
        '5.0,5.0,50.0',
        '25.0,20.0,50.0',
    ]
    assert run_door(tool, path, '--num', 3) == 2
    assert 'num_anchors' in capsys.readouterr().err
