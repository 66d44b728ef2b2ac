import logging

import pytest
import torch

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.detectors.level_pairs import (
    check_level_pairs,
    feature_strides,
    pair_levels,
)
from tests.test_models.helpers import samples
from tests.test_models.test_detectors.conftest import distillation_cfg


def maps(*sizes):
    return [torch.zeros(1, 2, *((s, s) if isinstance(s, int) else s)) for s in sizes]


def test_strides_come_from_the_maps():
    strides = feature_strides(maps(64, 1, (32, 64)), (512, 512))
    assert strides == [8, 512, pytest.approx(11.31, 0.01)]


@pytest.mark.parametrize(
    ('student', 'teacher', 'size', 'pairs'),
    [
        # SSD512 and P3 to P7; SSD300 and P3 to P7; SSD512 and P2 to P6; the other way round
        ((64, 32, 16, 8, 4, 2, 1), (64, 32, 16, 8, 4), 512, [(i, i) for i in range(5)]),
        ((38, 19, 10, 5, 3, 1), (38, 19, 10, 5, 3), 300, [(i, i) for i in range(5)]),
        ((64, 32, 16, 8), (128, 64, 32, 16, 8), 512, [(i, i + 1) for i in range(4)]),
        ((128, 64, 32), (32, 64), 512, [(1, 1), (2, 0)]),
        # one cell more or less is the same stride; two of three cells are not
        ((37, 18, 9), (38, 19, 10), 300, [(0, 0), (1, 1), (2, 2)]),
        ((3, 2, 1), (2, 1), 272, [(1, 0), (2, 1)]),
        ((4, 1, 1), (4, 1), 64, [(0, 0), (1, 1)]),
    ],
)
def test_pairs_of_equal_stride(student, teacher, size, pairs):
    size = (size, size)
    assert list(pair_levels(maps(*student), maps(*teacher), size, len(pairs))) == pairs
    assert list(pair_levels(maps(*student), maps(*teacher), size, 1)) == pairs[:1]


@pytest.mark.parametrize(
    ('teacher', 'num_pairs', 'message'),
    [
        (maps(128, 256), 2, r'no stride in common \(student 8, 16; teacher 4, 2, in pixels\)'),
        (maps(128, 64), 2, r'1 strides in common, but .* of 2 levels \(student 8, 16; .* 4, 8'),
    ],
)
def test_too_few_pairs(teacher, num_pairs, message):
    with pytest.raises(ConfigError, match=message):
        pair_levels(maps(64, 32), teacher, (512, 512), num_pairs)


@pytest.mark.parametrize(
    ('pairs', 'message'),
    [
        ([(0, 0)], 'expected 2 pairs, .* found 1'),
        ([(0, 0), (3, 1)], r'found \(3, 1\), but the student has the levels 0 to 2 and .* 0 to 1'),
        ([(0, 0), (1, -1)], r'found \(1, -1\)'),
    ],
)
def test_bad_level_pairs(pairs, message):
    with pytest.raises(ConfigError, match=message):
        check_level_pairs(pairs, 2, num_student=3, num_teacher=2)


@pytest.fixture
def log(monkeypatch):
    """Lines that mmengine would log."""
    lines = []
    monkeypatch.setattr(
        'ldwsccd_mmdet.models.detectors.ldwsccd_mixin.print_log',
        lambda message, logger=None, level=logging.INFO: lines.append(message),
    )
    return lines


def test_default_pairs_are_said_once(build, log):
    model = build(mil=False)
    for _ in range(2):
        model.loss(torch.randn(3, 3, 64, 64), samples())
    assert len(log) == 1
    assert 'levels of equal stride: student 0 (stride 8) with teacher 0 (8), student 1' in log[0]


def test_pairs_from_the_config(build, teacher, log):
    """Pairs of other strides are refused with both sizes and the remedy."""
    teacher = dict(teacher, level_pairs=[(0, 1), (2, 0)])
    channels = dict(student_channels=(8, 8), teacher_channels=(32, 16))
    model = build(mil=False, teacher=teacher, distillation=distillation_cfg(**channels))
    with pytest.raises(ConfigError, match=r'\(8, 8\) .* \(4, 4\).*model.teacher.level_pairs'):
        model.loss(torch.randn(3, 3, 64, 64), samples())
    assert model.level_pairs == ((0, 1), (2, 0))
    assert 'teacher.level_pairs: student 0 (stride 8) with teacher 1 (16)' in log[0]


def test_pairs_from_the_config_teach(build, teacher, log):
    teacher = dict(teacher, level_pairs=[(1, 1), (0, 0)])
    channels = dict(student_channels=(16, 8), teacher_channels=(32, 16))
    model = build(mil=False, teacher=teacher, distillation=distillation_cfg(**channels))
    losses = model.loss(torch.randn(3, 3, 64, 64), samples())
    assert losses['loss_distill_fg'] > 0
    assert model.level_pairs == ((1, 1), (0, 0))
