"""Selective Search: the error without opencv-contrib, and the scaling, with a stand-in for it."""

import copy
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmdet.registry import TASK_UTILS

from ldwsccd_mmdet.errors import ConfigError


def build(**kwargs):
    return TASK_UTILS.build(dict(type='SelectiveSearchProposer', **kwargs))


def test_says_what_to_install(monkeypatch):
    monkeypatch.delattr(cv2, 'ximgproc', raising=False)
    with pytest.raises(ConfigError, match='opencv-contrib-python.*must REPLACE opencv-python'):
        build()


@pytest.fixture
def calls(monkeypatch):
    """Stands in for OpenCV's search: one region is the left half, one the whole image."""
    seen = []

    class Search:
        def setBaseImage(self, image):  # noqa: N802
            seen.append(image)

        def switchToSelectiveSearchFast(self):  # noqa: N802
            seen.append('fast')

        def switchToSingleStrategy(self):  # noqa: N802
            seen.append('single')

        def process(self):
            height, width = seen[0].shape[:2]
            return np.array([[0, 0, width // 2, height], [0, 0, width, height]])

    segmentation = SimpleNamespace(createSelectiveSearchSegmentation=Search)
    monkeypatch.setattr(cv2, 'ximgproc', SimpleNamespace(segmentation=segmentation), raising=False)
    return seen


def test_boxes_in_pixels_of_the_whole_image(calls):
    image = np.zeros((100, 400, 3), np.uint8)
    image[..., 0] = 9
    boxes, scores = build(max_side=200).propose(image, (1, 1))
    assert calls[0].shape == (50, 200, 3) and calls[1] == 'fast'
    assert calls[0][0, 0].tolist() == [0, 0, 9]  # OpenCV gets BGR
    assert boxes.tolist() == [[0, 0, 200, 100], [0, 0, 400, 100]]
    assert scores[0] > scores[1]


def test_small_images_are_not_enlarged(calls):
    build(mode='single').propose(np.zeros((30, 40, 3), np.uint8), (1, 1))
    assert calls[0].shape == (30, 40, 3) and calls[1] == 'single'


def test_can_be_copied_and_checks_its_arguments(calls):
    assert copy.deepcopy(build(mode='fast')).max_side == 256
    with pytest.raises(ConfigError, match='SelectiveSearchProposer.mode'):
        build(mode='slow')
