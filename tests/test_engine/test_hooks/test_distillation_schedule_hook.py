import re

import pytest
from mmengine.hooks import Hook

from ldwsccd_mmdet.engine import DistillationScheduleHook
from ldwsccd_mmdet.errors import ConfigError


class Recorder(Hook):
    """Factor and losses of each step, and whether the teacher ran."""

    def __init__(self):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        teacher = runner.model.teacher
        self.ran = False
        extract = type(teacher).extract_feat

        def record(*args, **kwargs):
            self.ran = True
            return extract(teacher, *args, **kwargs)

        teacher.extract_feat = record

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        weight = runner.model.distillation_weight
        self.steps.append((weight, self.ran, float(outputs['loss_distill_fg']) > 0))


def run(training, edit=None, **schedule):
    made = training([dict(type='DistillationScheduleHook', **schedule)], edit)
    recorder = Recorder()
    made.runner.register_hook(recorder)
    made.train()
    return made, recorder.steps


@pytest.mark.parametrize(
    ('schedule', 'weights'),
    [
        ({}, [1, 1, 1, 1]),
        (dict(warmup_iters=4), [0.25, 0.5, 0.75, 1]),
        (dict(warmup_epochs=1), [0.5, 1, 1, 1]),
        (dict(warmup_iters=3, stop_epoch=1), [1 / 3, 2 / 3, 0, 0]),
        (dict(stop_epoch=0), [0, 0, 0, 0]),
    ],
)
def test_factor_of_each_step(training, schedule, weights):
    """Two epochs of two steps; the teacher runs in those that are distilled, and in no other."""
    made, steps = run(training, **schedule)
    assert [step[0] for step in steps] == pytest.approx(weights)
    assert [step[1] for step in steps] == [weight > 0 for weight in weights]
    assert [step[2] for step in steps] == [weight > 0 for weight in weights]
    logged = re.findall(r'distillation_weight: ([\d.]+)', made.log)
    assert len(logged) == 4


def test_resumed_run_goes_on_where_it_was(training):
    def resume(config):
        config.load_from = f'{first.runner.work_dir}/epoch_2.pth'
        config.resume = True
        config.train_cfg.max_epochs = 4

    first, _ = run(training, warmup_iters=8, stop_epoch=3)
    _, steps = run(training, resume, warmup_iters=8, stop_epoch=3)
    assert [step[0] for step in steps] == pytest.approx([5 / 8, 6 / 8, 0, 0])


@pytest.mark.parametrize(
    ('schedule', 'message'),
    [
        (dict(warmup_iters=-1), 'DistillationScheduleHook.warmup_iters: expected >= 0, found -1'),
        (dict(stop_epoch=-1), 'DistillationScheduleHook.stop_epoch: expected >= 0'),
        (dict(warmup_iters=1, warmup_epochs=1), 'expected warmup_iters or warmup_epochs, found bo'),
    ],
)
def test_bad_settings(schedule, message):
    with pytest.raises(ConfigError, match=message):
        DistillationScheduleHook(**schedule)


def test_epochs_need_a_loop_with_epochs(training):
    def iterations(config):
        config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
        config.default_hooks.checkpoint.by_epoch = False

    made = training([dict(type='DistillationScheduleHook', stop_epoch=1)], iterations)
    with pytest.raises(ConfigError, match='found IterBasedTrainLoop; give warmup_iters'):
        made.train()
