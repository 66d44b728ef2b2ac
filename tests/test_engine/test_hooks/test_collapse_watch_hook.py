"""Pseudo-boxes in the log of a validation."""

import re

import pytest
import torch

from ldwsccd_mmdet.engine.hooks import CollapseWatchHook
from ldwsccd_mmdet.errors import ConfigError


def values(log, name):
    return [float(value) for value in re.findall(rf'[ \t]pseudo/{name}: (-?[\d.]+)', log)]


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.runner.model.parameters()])


def test_stands_in_the_log_and_changes_nothing(training):
    hook = dict(type='CollapseWatchHook', num_images=3, batch_size=2)
    run = training([hook]).train()
    for name in ('corloc', 'mAP', 'boxes_per_image', 'collapsed'):
        assert len(values(run.log, name)) == 2, name
    assert all(0 <= value <= 1 for value in values(run.log, 'corloc'))
    assert min(values(run.log, 'boxes_per_image')) > 0
    assert torch.equal(weights(run), weights(training().train()))


def test_interval_and_model_without_a_mil_head(training):
    run = training([dict(type='CollapseWatchHook', interval=2)]).train()
    assert len(values(run.log, 'corloc')) == 1

    def without(config):
        config.model.mil_head = None

    assert values(training(['CollapseWatchHook'], without).train().log, 'corloc') == []


@pytest.mark.parametrize('name', ['num_images', 'interval', 'batch_size'])
def test_bad_arguments_are_named(name):
    with pytest.raises(ConfigError, match=rf'CollapseWatchHook\.{name}: expected'):
        CollapseWatchHook(**{name: 0})
