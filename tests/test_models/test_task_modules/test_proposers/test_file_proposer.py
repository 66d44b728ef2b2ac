"""Regions from a file."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import HorizontalBoxes

from ldwsccd_mmdet.errors import ConfigError, DatasetError

BOXES = np.array([[10, 20, 30, 60, 0.5], [100, 0, 200, 50, 0.9]], np.float32)
INPUTS = torch.zeros(1, 3, 64, 128)


def build(file, **kwargs):
    return TASK_UTILS.build(dict(type='FileProposer', file=str(file), **kwargs))


def meta(**kwargs):
    base = dict(
        img_id=7,
        img_path='some/where/a.jpg',
        ori_shape=(100, 200),
        img_shape=(50, 120),
        scale_factor=(0.6, 0.5),
    )
    return {**base, **kwargs}


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / 'p.npz', **{'7': BOXES, 'a.jpg': BOXES[:1, :4]})
    return tmp_path / 'p.npz'


@pytest.mark.parametrize('direction', [None, 'horizontal', 'vertical', 'diagonal'])
def test_boxes_follow_the_image(npz, direction):
    out = build(npz)(INPUTS, [meta(flip=direction is not None, flip_direction=direction)])[0]
    expected = HorizontalBoxes(torch.from_numpy(BOXES[:, :4]))
    expected.rescale_((0.6, 0.5))
    if direction:
        expected.flip_((50, 120), direction)
    torch.testing.assert_close(out.bboxes, expected.tensor[[1, 0]])
    assert out.scores.tolist() == pytest.approx([0.9, 0.5])


def test_keys_of_the_images(npz):
    assert len(build(npz)(INPUTS, [meta()])[0]) == 2
    out = build(npz, key='file_name')(INPUTS, [meta()])[0]
    assert len(out) == 1 and out.scores.tolist() == [1.0]


def test_coco_results_and_coco_files(tmp_path):
    records = [
        dict(image_id=7, bbox=[10, 20, 20, 40], score=0.5),
        dict(image_id=7, bbox=[100, 0, 100, 50]),
    ]
    (tmp_path / 'r.json').write_text(json.dumps(records))
    first = build(tmp_path / 'r.json')(INPUTS, [meta()])[0]
    assert first.scores.tolist() == [1.0, 0.5]
    torch.testing.assert_close(first.bboxes, torch.tensor([[60.0, 0, 120, 25], [6, 10, 18, 30]]))
    images = [dict(id=7, file_name='x/a.jpg'), dict(id=8, file_name='b.jpg')]
    (tmp_path / 'c.json').write_text(json.dumps(dict(images=images, annotations=records)))
    by_name = build(tmp_path / 'c.json', key='file_name')
    assert torch.equal(by_name(INPUTS, [meta()])[0].bboxes, first.bboxes)
    # an image of the file without a region is known to have none
    assert len(by_name(INPUTS, [meta(img_path='b.jpg')])[0]) == 0


def test_image_that_is_not_in_the_file(npz):
    with pytest.raises(DatasetError, match=r"no regions of image img_id='9' .*it has 2 images"):
        build(npz)(INPUTS, [meta(img_id=9)])


def test_missing_file_is_said_when_it_is_needed(tmp_path):
    proposer = build(tmp_path / 'none.npz')
    with pytest.raises(DatasetError, match='none.npz. does not exist.*--save'):
        proposer(INPUTS, [meta()])


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('a.json', b'{"images": []}'),
        ('a.json', b'[{"bbox": [1, 2, 3, 4]}]'),
        ('a.json', b'not json'),
        ('a.npz', b'not a zip'),
    ],
)
def test_file_of_another_form(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match='cannot be read'):
        build(tmp_path / name)(INPUTS, [meta()])


@pytest.mark.parametrize(
    'array', [np.zeros((2, 3)), np.full((1, 4), np.nan), np.array([object()], object)]
)
def test_arrays_of_another_form(tmp_path, array):
    """The last would be unpickled: it is refused."""
    np.savez(tmp_path / 'a.npz', **{'7': array})
    with pytest.raises(DatasetError, match='cannot be read'):
        build(tmp_path / 'a.npz')(INPUTS, [meta()])


def test_crops_are_refused(npz):
    with pytest.raises(ConfigError, match='cropped or expanded'):
        build(npz)(INPUTS, [meta(img_shape=(50, 100))])


@pytest.mark.parametrize('kwargs', [dict(file='a.pkl'), dict(file='a.npz', key='id')])
def test_bad_arguments_are_named(kwargs):
    with pytest.raises(ConfigError, match=r'FileProposer\.(file|key): expected'):
        build(**kwargs)
