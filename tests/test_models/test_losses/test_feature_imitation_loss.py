"""Eq. 8 against loops, its share of the detection loss, and its place in a config."""

import pytest
import torch
from mmdet.registry import MODELS

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import FeatureImitationLoss

INPUT_SIZE = (32, 32)
BOXES = [torch.tensor([[0.0, 0.0, 15.0, 31.0]]), torch.zeros(0, 4)]


def feats(channels=(3, 2), sizes=(8, 4), seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, c, s, s, dtype=torch.float64, generator=rng)
        for c, s in zip(channels, sizes, strict=True)
    ]


def by_loops(student, teacher):
    """Eq. 8 of one level, averaged over images: in the left half of image 0, and elsewhere."""
    n, channels, height, width = student.shape
    inside = outside = 0.0
    for image in range(n):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    d = (teacher[image, c, i, j] - student[image, c, i, j]).item()
                    value = d * d / (channels * height * width * n)
                    if image == 0 and (j + 0.5) * INPUT_SIZE[1] / width <= 15:
                        inside += value
                    else:
                        outside += value
    return inside, outside


def test_against_loops():
    student, teacher = feats(), feats(seed=1)
    loss = FeatureImitationLoss((3, 2), (3, 2), loss_weight=2.0, feature_norm=None)
    losses = loss(student, teacher, BOXES, INPUT_SIZE)
    expected = [by_loops(*pair) for pair in zip(student, teacher, strict=True)]
    assert losses['loss_distill_fg'].item() == pytest.approx(2 * sum(e[0] for e in expected))
    assert losses['loss_distill_bg'].item() == pytest.approx(2 * sum(e[1] for e in expected))
    assert losses['loss_distill_attention'].item() == 0


def test_scale_and_offset_of_a_channel_do_not_count_when_standardised():
    (student,) = feats((3,), (8,))
    teacher = student * torch.tensor([2.0, 5.0, 0.5])[:, None, None] + 3
    losses = FeatureImitationLoss((3,), (3,))([student], [teacher], BOXES, INPUT_SIZE)
    assert sum(losses.values()).item() == pytest.approx(0, abs=1e-10)
    constant = torch.ones_like(student)
    losses = FeatureImitationLoss((3,), (3,))([constant], [student], BOXES, INPUT_SIZE)
    assert sum(losses.values()).item() == pytest.approx(1, rel=1e-4)  # the teacher's variance


def test_gradient():
    teacher = feats((2,), (4,), seed=1)
    student = feats((2,), (4,))[0].requires_grad_()
    for norm in (None, 'standardize'):
        loss = FeatureImitationLoss((2,), (2,), feature_norm=norm)
        assert torch.autograd.gradcheck(
            lambda x, loss=loss: sum(loss([x], teacher, BOXES, INPUT_SIZE).values()), student
        )


def test_is_its_share_of_the_detection_loss():
    loss = FeatureImitationLoss((3, 2), (3, 2), share=0.3)
    losses = loss(feats(), feats(seed=1), BOXES, INPUT_SIZE, detection_loss=torch.tensor(10.0))
    assert sum(losses.values()).item() == pytest.approx(3, rel=1e-5)


def test_stands_in_a_config_and_refuses_what_is_wrong():
    channels = dict(student_channels=(3,), teacher_channels=(5,))
    loss = MODELS.build(dict(type='FeatureImitationLoss', **channels)).double()
    losses = loss(feats((3,), (8,)), feats((5,), (8,)), BOXES, INPUT_SIZE)
    sum(losses.values()).backward()
    assert loss.align[0].weight.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match='no alpha, beta or gamma beside it'):
        MODELS.build(dict(type='FeatureImitationLoss', share=0.3, loss_weight=1.0, **channels))
    with pytest.raises(ConfigError, match='expected >= 0, found -1'):
        MODELS.build(dict(type='FeatureImitationLoss', loss_weight=-1, **channels))
