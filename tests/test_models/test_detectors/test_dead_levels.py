import logging
import math

import pytest
import torch

from ldwsccd_mmdet.models.detectors import ldwsccd_mixin
from ldwsccd_mmdet.models.detectors.dead_levels import dead_levels, own_attention
from tests.test_models.helpers import samples
from tests.test_models.test_detectors.conftest import distillation_cfg


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    monkeypatch.setattr(
        ldwsccd_mixin,
        'print_log',
        lambda message, logger=None, level=logging.INFO: (
            lines.append(message) if level >= logging.WARNING else None
        ),
    )
    return lines


def test_finds_the_map_that_is_the_same_for_all_images():
    alive = torch.randn(3, 4, 8, 8)
    padded = torch.randn(1, 4, 4, 4).expand(3, -1, -1, -1)  # its cells differ, its images do not
    nearly = padded + 1e-3 * torch.randn(3, 4, 4, 4)
    assert dead_levels([alive, padded, torch.zeros(3, 4, 2, 2), nearly]) == [1, 2, 3]


def test_is_about_ratios():
    """Neither the scale of a map nor its mean counts."""
    alive = torch.randn(3, 4, 8, 8)
    assert dead_levels([1e-4 * alive, 1e4 * alive, alive + 10, alive.bfloat16()]) == []


def test_one_channel_of_many_keeps_a_map_alive():
    feat = torch.randn(1, 16, 8, 8).repeat(3, 1, 1, 1)
    feat[:, 3] = torch.randn(3, 8, 8)
    assert dead_levels([feat]) == []


def test_one_image_says_nothing():
    assert dead_levels([torch.zeros(1, 4, 8, 8)]) == []
    assert dead_levels([]) == []


def test_training_warns_of_a_dead_teacher_once(build, warnings):
    model = build(mil=False, distillation=distillation_cfg())
    extract_feat = model.teacher.extract_feat

    def one_dead(*args):
        feats = list(extract_feat(*args))
        feats[1] = torch.zeros_like(feats[1])
        return feats

    model.teacher.extract_feat = one_dead
    for _ in range(2):
        model.loss(torch.randn(3, 3, 64, 64) * 50, samples())
    assert len(warnings) == 1
    assert 'its levels [1] are the same' in warnings[0]
    assert [weight == 0 for weight in model.distillation.level_weights] == [
        teacher == 1 for _, teacher in model.level_pairs
    ]
    assert 'lr_mult' in warnings[0]


def test_training_is_silent_of_a_live_teacher(build, warnings):
    model = build(mil=False, distillation=distillation_cfg())
    model.loss(torch.randn(3, 3, 64, 64) * 50, samples())
    assert warnings == []


def test_own_attention_against_a_loop():
    attention = torch.rand(5, 4, 3, dtype=torch.float64)
    mean = attention.mean().item()
    own = total = 0.0
    for y in range(4):
        for x in range(3):
            values = attention[:, y, x].tolist()
            own += sum((v - sum(values) / 5) ** 2 for v in values)
            total += sum((v - mean) ** 2 for v in values)
    assert own_attention(attention) == pytest.approx(own * 5 / 4 / total)


def test_own_attention_in_limiting_cases():
    corners = torch.ones(8, 6, 6)
    corners[:, 0, 0] = 9
    assert own_attention(corners) == 0  # the same places in all images
    free = torch.rand(400, 6, 6)
    assert own_attention(free) == pytest.approx(1, abs=0.02)  # places say nothing
    assert math.isnan(own_attention(free[:1])) and math.isnan(own_attention(torch.ones(4, 3, 3)))
