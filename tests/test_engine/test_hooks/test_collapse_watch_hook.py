"""Pseudo-boxes in the log of a validation."""

import json
import re
from types import SimpleNamespace

import pytest
import torch

from ldwsccd_mmdet.engine.hooks import CollapseWatchHook
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.preparation.weak_labels import weaken


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


def test_interval(training):
    run = training([dict(type='CollapseWatchHook', interval=2)]).train()
    assert len(values(run.log, 'corloc')) == 1


def test_does_nothing_without_a_mil_head():
    runner = SimpleNamespace(model=SimpleNamespace(mil_head=None), rank=0)
    hook = CollapseWatchHook()
    hook.before_train(runner)  # would look for the config
    hook.after_val_epoch(runner)


@pytest.mark.parametrize('name', ['num_images', 'interval', 'batch_size'])
def test_bad_arguments_are_named(name):
    with pytest.raises(ConfigError, match=rf'CollapseWatchHook\.{name}: expected'):
        CollapseWatchHook(**{name: 0})


def test_true_boxes_of_a_set_with_image_labels_alone(training, data):
    """The MIL head gets regions of the proposer and image labels; the truth is in a file."""
    weak = weaken(json.loads((data / 'train.json').read_text()), image_labels_only=1)
    (data / 'train_image.json').write_text(json.dumps(weak))

    def image_labels(config):
        config.model.update(
            supervision=dict(regime='image', pseudo_warmup=0),
            proposer=dict(type='NucleusBlobProposer', radius_range=(3, 9), max_per_img=40),
        )
        config.train_dataloader.dataset.ann_file = 'train_image.json'
        pack = config.train_dataloader.dataset.pipeline[-1]
        pack.meta_keys = (
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'image_labels',
            'supervision',
        )

    with_truth = dict(type='CollapseWatchHook', ann_file=str(data / 'train.json'))
    log = training([with_truth], image_labels).train().log
    assert len(values(log, 'corloc')) == 2
