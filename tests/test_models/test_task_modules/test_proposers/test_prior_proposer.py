"""Regions from priors."""

import pytest
import torch
from mmdet.registry import TASK_UTILS

from ldwsccd_mmdet.errors import ConfigError

GENERATOR = dict(type='AnchorGenerator', strides=[8, 16], ratios=[0.5, 1.0], scales=[2])


def build(**kwargs):
    return TASK_UTILS.build(dict(type='PriorProposer', anchor_generator=GENERATOR, **kwargs))


def test_contrast_equals_a_loop_over_boxes():
    images = torch.randn(2, 3, 40, 48)
    proposer = build()
    priors = torch.cat(proposer.anchor_generator.grid_priors([(5, 6), (3, 3)], device='cpu'))
    found = proposer._contrast(images, priors)

    def cut(image, box):
        x1, y1, x2, y2 = (int(v) for v in box.round())
        x1, x2 = (min(max(v, 0), 48) for v in (x1, x2))
        y1, y2 = (min(max(v, 0), 40) for v in (y1, y2))
        return image[y1:y2, x1:x2]

    for number, image in enumerate(images.double().mean(1)):
        for index, box in enumerate(priors):
            centre, half = (box[2:] + box[:2]) / 2, (box[2:] - box[:2]) / 2
            inner = cut(image, torch.cat([centre - half, centre + half]))
            outer = cut(image, torch.cat([centre - 2 * half, centre + 2 * half]))
            ring = outer.numel() - inner.numel()
            expected = 0.0
            if inner.numel() and ring:
                expected = abs(inner.mean() - (outer.sum() - inner.sum()) / ring)
            assert found[number, index] == pytest.approx(float(expected), abs=1e-5)


def test_a_dark_square_comes_first():
    images = torch.full((2, 3, 64, 64), 100.0)
    images[0, :, 16:32, 24:40] = 0
    images[1, :, 40:56, 8:24] = 0
    generator = dict(type='AnchorGenerator', strides=[8], ratios=[1.0], scales=[2])
    proposer = TASK_UTILS.build(dict(type='PriorProposer', anchor_generator=generator))
    first = [out.bboxes[0].tolist() for out in proposer(images, [dict(img_shape=(64, 64))] * 2)]
    assert first == [[24, 16, 40, 32], [8, 40, 24, 56]]


def test_even_covers_the_image_whatever_the_number():
    for count in (8, 32):
        out = build(rank='even', nms_iou=1, max_per_img=count)(
            torch.zeros(1, 3, 64, 64), [dict(img_shape=(64, 64))]
        )[0]
        centres = (out.bboxes[:, :2] + out.bboxes[:, 2:]) / 2
        assert len(out) == count
        quadrants = (centres > 32).long() @ torch.tensor([1, 2])
        assert quadrants.unique().numel() == 4
        assert (out.scores[:-1] >= out.scores[1:]).all()


def test_same_for_each_image_of_a_batch():
    images = torch.randn(3, 3, 48, 48)
    metas = [dict(img_shape=(48, 48)), dict(img_shape=(32, 48)), dict(img_shape=(48, 20))]
    together = build(max_per_img=30)(images, metas)
    for index, out in enumerate(together):
        alone = build(max_per_img=30)(images[index : index + 1], metas[index : index + 1])[0]
        assert torch.equal(out.bboxes, alone.bboxes)
        height, width = metas[index]['img_shape']
        assert out.bboxes[:, 2].max() <= width and out.bboxes[:, 3].max() <= height


def test_bad_rank_is_named():
    with pytest.raises(ConfigError, match="PriorProposer.rank: expected 'contrast' or 'even'"):
        build(rank='best')
