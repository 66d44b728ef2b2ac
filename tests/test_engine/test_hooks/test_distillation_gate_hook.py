import re

import pytest
import torch

from ldwsccd_mmdet.errors import CheckpointError, ConfigError

GATE = 'DistillationGateHook'


def augment(config):
    config.train_dataloader.dataset.pipeline.insert(3, dict(type='RandomFlip', prob=0.5))


def test_table(training):
    """Weights, classes, normalisation, pairs, and the losses that the first step really has."""

    def raw(config):
        config.model.distillation.update(level_weights=(1, 2, 0.5), gamma=0.7)
        config.model.mil_head.dropout = 0.0

    run = training([GATE], raw).train()
    log = run.log
    assert log.count('Weighted losses of the first batch') == 1
    assert re.search(r'weights loaded.*\| (\d+) of \1 of backbone and neck \(100.0 %\)', log)
    assert re.search(r'classes +\| 3: lsil, hsil, scc +\| 3: lsil, hsil, scc', log)
    assert re.search(r'channels +\| RGB +\| BGR', log)
    assert re.search(r'mean +\| 120, 110, 100 +\| 90, 100, 110', log)
    assert re.search(r'std +\| 1, 1, 1 +\| 50, 51, 52', log)
    assert re.search(r'\| +1 \| +16 x 4 x 4 \| +1 \| +32 x 4 x 4 \|', log)
    total = [float(v) for v in re.search(r'\| +all \|(?: +\|){3}(.*)', log)[1].split('|')[:4]]
    step = dict(re.findall(r'(loss\w*): ([\d.]+)', re.search(r'Epoch\(train\).*', log)[0]))
    names = ('loss_distill_fg', 'loss_distill_bg', 'loss_distill_attention')
    for value, name in zip(total, names, strict=False):
        assert value == pytest.approx(float(step[name]), rel=1e-3, abs=1e-3)
    assert total[3] == pytest.approx(sum(total[:3]), rel=1e-3)
    detection = float(re.search(r'detection loss ([\d.]+)', log)[1])
    assert detection == pytest.approx(
        float(step['loss_cls']) + float(step['loss_bbox']), rel=1e-3, abs=1e-3
    )


def test_training_is_untouched(training):
    """With random flips, dropout and batch norm: the same weights and statistics."""
    states = []
    for hooks in ([], [GATE, 'TeacherEvaluationHook']):
        states.append(training(hooks, augment).train().runner.model.state_dict())
    assert any('running_mean' in name for name in states[0])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_other_classes_are_a_warning(training):
    log = training([GATE], classes=('a', 'b')).train().log
    assert 'classes of the teacher (2: a, b) are not those of the data (3: lsil, hsil, scc)' in log
    assert 'Weighted losses' in log


def test_weights_that_do_not_load_are_an_error(training, tmp_path):
    run = training([GATE])
    state = torch.load(tmp_path / 'teacher.pth', weights_only=True)
    del state['state_dict']['backbone.features.0.weight']
    torch.save(state, tmp_path / 'teacher.pth')
    with pytest.raises(CheckpointError, match=r'1 of \d+ weights .* first backbone.features.0.wei'):
        run.train()


def test_cache_and_augmentation(training, tmp_path):
    with pytest.raises(ConfigError, match='model.teacher.cache: expected .* remove RandomFlip'):
        training([GATE], augment, cache=str(tmp_path / 'cache')).train()


def test_cache_serves_the_second_epoch(training, tmp_path):
    run = training([GATE], cache=str(tmp_path / 'cache')).train()
    cache = run.runner.model.teacher.cache
    assert cache.misses == 4  # each image once: the gate's look counts as the first
    assert 'no image of this epoch was found' not in run.log


def test_cache_that_never_helps(training, tmp_path):
    """Without the check of the pipeline, say at the end of the second epoch that it is in vain."""

    def slow_drift(config):
        config.train_dataloader.dataset.pipeline.insert(
            3, dict(type='PhotoMetricDistortion', brightness_delta=32)
        )

    run = training([GATE], slow_drift, cache=str(tmp_path / 'cache'))
    hook = next(hook for hook in run.runner.hooks if type(hook).__name__ == GATE)
    hook.before_train = lambda runner: None
    run.train()
    assert run.log.count('model.teacher.cache: no image of this epoch was found') == 1


def test_resumed_run_shows_its_own_first_batch(training):
    first = training([GATE]).train().runner

    def resume(config):
        config.work_dir = first.work_dir
        config.load_from = f'{first.work_dir}/epoch_2.pth'
        config.resume = True
        config.train_cfg.max_epochs = 3

    log = training([GATE], resume).train().log
    assert 'Before iteration 5:' in log


def test_plain_student_needs_no_gate(training):
    def plain(config):
        config.model.update(teacher=None, distillation=None, mil_head=None)

    log = training([GATE, 'DistillationScheduleHook', 'TeacherEvaluationHook'], plain).train().log
    assert 'Weighted losses' not in log
    assert 'teacher' not in log.split('Epoch(train)', 1)[1]
