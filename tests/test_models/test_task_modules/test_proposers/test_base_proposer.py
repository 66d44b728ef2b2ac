"""What all proposers share: clipping, order, suppression, and undoing the normalisation."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.task_modules.proposers import ImageProposer


class Recorder(ImageProposer):
    """Keeps what it was shown; proposes a fixed list."""

    def __init__(self, boxes=(), scores=(), **kwargs):
        super().__init__(**kwargs)
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self.scores = np.array(scores, np.float32)
        self.seen = []

    def propose(self, image, scale):
        self.seen.append((image, scale))
        return self.boxes, self.scores


def test_select_clips_drops_suppresses_and_orders():
    boxes = [
        [-10, 2, 20, 20],  # clipped at the left
        [-9, 2, 20, 20],  # nearly the same, of a lower score
        [50, 10, 90, 30],  # clipped at the right
        [70, 10, 90, 30],  # outside the image without its padding
        [10, 10, 12, 30],  # too narrow
        [30, 30, 40, 40],
    ]
    out_of_order = [0.5, 0.4, 0.9, 1.0, 0.8, 0.1]
    proposer = Recorder(boxes, out_of_order)
    out = proposer(torch.zeros(1, 3, 96, 96), [dict(img_shape=(60, 64))], _preprocessor())[0]
    assert out.bboxes.tolist() == [[50, 10, 64, 30], [0, 2, 20, 20], [30, 30, 40, 40]]
    assert out.scores.tolist() == pytest.approx([0.9, 0.5, 0.1])
    arguments = torch.zeros(1, 3, 96, 96), [dict(img_shape=(60, 64))], _preprocessor()
    assert len(Recorder(boxes, out_of_order, max_per_img=2)(*arguments)[0]) == 2
    assert len(Recorder(boxes, out_of_order, nms_iou=1)(*arguments)[0]) == 4


def _preprocessor(**kwargs):
    return DetDataPreprocessor(
        **{
            **dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
            **kwargs,
        }
    )


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(),
        dict(std=[1, 1, 1]),
        dict(bgr_to_rgb=False),
        dict(mean=None, std=None),
    ],
)
def test_the_picture_is_what_the_file_holds(kwargs):
    """RGB, 8 bit, without padding, whatever the normalisation."""
    picture = np.random.randint(0, 256, (24, 20, 3), np.uint8)  # as the loader gives it: BGR
    preprocessor = _preprocessor(**kwargs)
    data = dict(inputs=[torch.from_numpy(picture).permute(2, 0, 1)], data_samples=None)
    inputs = preprocessor(data)['inputs']
    inputs = torch.nn.functional.pad(inputs, (0, 12, 0, 8))
    recorder = Recorder()
    out = recorder(inputs, [dict(img_shape=(24, 20), scale_factor=(0.5, 0.25))], preprocessor)
    image, scale = recorder.seen[0]
    np.testing.assert_array_equal(image, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    assert scale == (0.5, 0.25)
    assert out[0].bboxes.shape == (0, 4) and out[0].scores.shape == (0,)


def test_needs_the_preprocessor():
    with pytest.raises(ConfigError, match='Recorder: expected the data_preprocessor'):
        Recorder()(torch.zeros(1, 3, 8, 8), [dict(img_shape=(8, 8))])


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(max_per_img=0), 'Recorder.max_per_img'),
        (dict(nms_iou=0), 'Recorder.nms_iou'),
        (dict(nms_iou=1.1), 'Recorder.nms_iou'),
        (dict(min_size=0), 'Recorder.min_size'),
    ],
)
def test_bad_arguments_are_named(kwargs, match):
    with pytest.raises(ConfigError, match=match):
        Recorder(**kwargs)


def test_can_be_copied():
    """An EMA copy of the detector copies its proposer."""
    assert copy.deepcopy(Recorder(max_per_img=7)).max_per_img == 7
