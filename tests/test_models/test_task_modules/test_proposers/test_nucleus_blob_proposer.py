"""Regions around nuclei."""

import cv2
import numpy as np
import pytest
from mmdet.registry import TASK_UTILS

from ldwsccd_mmdet.errors import ConfigError

PINK, CYAN, NUCLEUS = (230, 150, 170), (120, 200, 205), (70, 50, 110)


def build(**kwargs):
    return TASK_UTILS.build(dict(type='NucleusBlobProposer', **kwargs))


def smear(nuclei, size=160, cytoplasm=(PINK, CYAN)):
    """A pale field with coloured cytoplasm around dark nuclei (x, y, radius), RGB."""
    image = np.full((size, size, 3), 235, np.uint8)
    for number, (x, y, radius) in enumerate(nuclei):
        cv2.circle(image, (x, y), 3 * radius, cytoplasm[number % 2], -1)
        cv2.circle(image, (x, y), radius, NUCLEUS, -1)
    return cv2.GaussianBlur(image, (0, 0), 1)


NUCLEI = [(40, 40, 6), (110, 50, 9), (60, 115, 13)]


@pytest.mark.parametrize(
    ('channel', 'cytoplasm'),
    [('value', (PINK, CYAN)), ('gray', (PINK, CYAN)), ('haematoxylin', (PINK, PINK))],
)
def test_finds_each_nucleus_and_its_size(channel, cytoplasm):
    proposer = build(radius_range=(5, 20), contexts=(1,), channel=channel)
    boxes, scores = proposer.propose(smear(NUCLEI, cytoplasm=cytoplasm), (1, 1))
    boxes = boxes[np.argsort(-scores)]
    for x, y, radius in NUCLEI:
        box = boxes[np.abs(boxes[:, :2] + boxes[:, 2:] - [2 * x, 2 * y]).max(1) <= 6]
        ratio = (box[:, 2] - box[:, 0]) / (2 * radius + 1)
        assert ((0.6 < ratio) & (ratio < 1.6)).any(), (x, y, ratio)


def test_cytoplasm_is_no_nucleus():
    """Coloured cytoplasm lets some light through, so 'value' does not take it for a blob."""
    proposer = build(radius_range=(5, 40), contexts=(1,))
    boxes, scores = proposer.propose(smear(NUCLEI), (1, 1))
    best = boxes[np.argsort(-scores)][:3]
    centres = (best[:, :2] + best[:, 2:]) / 2
    distance = np.abs(centres[:, None] - np.array(NUCLEI)[None, :, :2]).max(2)
    assert sorted(distance.argmin(1)) == [0, 1, 2] and distance.min(1).max() <= 4


def test_boxes_are_squares_of_the_image_file():
    boxes, scores = build(contexts=(1, 3), sizes=(50,)).propose(smear(NUCLEI), (0.5, 0.25))
    assert len(boxes) % 3 == 0 and len(boxes) == len(scores)
    sides = (boxes[:, 2:] - boxes[:, :2]) / [0.5, 0.25]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], rtol=1e-5)
    np.testing.assert_allclose(sides[2::3], 50, rtol=1e-5)
    np.testing.assert_allclose(sides[1::3], 3 * sides[0::3], rtol=1e-5)
    # a diameter in the batch tensor is the geometric mean of the sides there
    np.testing.assert_allclose(
        np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))[::3],
        (2 * np.sqrt(0.5 * 0.25)) * sides[::3, 0] / 2,
        rtol=1e-5,
    )


@pytest.mark.parametrize('size', [1, 3, 40])
def test_an_even_picture_has_no_blob(size):
    boxes, scores = build().propose(np.full((size, size, 3), 200, np.uint8), (1, 1))
    assert boxes.shape == (0, 4) and scores.shape == (0,)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(radius_range=(0.5, 9)), 'radius_range'),
        (dict(radius_range=(9, 5)), 'radius_range'),
        (dict(channel='blue'), 'channel'),
        (dict(contexts=(1, 0)), 'contexts'),
        (dict(sizes=(-1,)), 'sizes'),
        (dict(contexts=()), 'contexts and sizes both empty'),
    ],
)
def test_bad_arguments_are_named(kwargs, match):
    with pytest.raises(ConfigError, match=f'NucleusBlobProposer.*{match}'):
        build(**kwargs)
