"""What a checkpoint gives a model, and how an interrupted training goes on."""

from __future__ import annotations

import pytest
import torch

from ldwsccd_mmdet.engine.hooks.atomic_checkpoint_hook import STATE_KEY
from ldwsccd_mmdet.errors import CheckpointError, ConfigError
from tests.test_engine.toy import Killed, Toy, log_of, make_runner, same, weights


def save(folder, state, **content):
    file = folder / 'given.pth'
    torch.save({'state_dict': state, 'meta': {'epoch': 1, 'iter': 4}, **content}, file)
    return str(file)


@pytest.mark.parametrize('prefix', ['', 'student.', 'architecture.', 'model.', 'ema_'])
def test_tests_a_checkpoint_with_any_prefix(tmp_path, prefix):
    state = Toy().state_dict()
    file = save(tmp_path, {prefix + key: value for key, value in state.items()})
    runner = make_runner(tmp_path, train=False, load_from=file)
    runner.test()
    assert same(weights(runner), state)
    assert (f"begin with '{prefix}'" in log_of(runner)) is bool(prefix)


def test_test_refuses_what_does_not_fit(tmp_path):
    state = Toy().state_dict()
    del state['bbox_head.weight']
    for bad in (state, Toy(width=6).state_dict(), {'conv.weight': torch.zeros(1)}):
        with pytest.raises(CheckpointError, match='is not of this model: .* weights are missing'):
            make_runner(tmp_path, train=False, load_from=save(tmp_path, bad)).test()
    state = Toy().state_dict()
    state['backbone.0.weight'][0] = float('nan')
    with pytest.raises(CheckpointError, match='not finite: 1 of .*first backbone.0.weight'):
        make_runner(tmp_path, train=False, load_from=save(tmp_path, state)).test()


def test_scores_of_a_mil_head_need_its_weights(tmp_path):
    file = save(tmp_path, Toy().state_dict())
    for source in ('mil', 'fused', 'auto'):
        runner = make_runner(
            tmp_path, train=False, load_from=file, model=Toy(mil=True, source=source)
        )
        with pytest.raises(CheckpointError, match=f"not the MIL head.*score_source='{source}'"):
            runner.test()
    make_runner(tmp_path, train=False, load_from=file, model=Toy(mil=True)).test()


def test_load_from_says_what_it_gives(tmp_path):
    state = Toy(width=6).state_dict()
    state['backbone.0.bias'] = torch.full((4,), 7.0)
    runner = make_runner(tmp_path, epochs=1, load_from=save(tmp_path, state))
    runner.load_or_resume = lambda: None  # first as a plain loading, then as in a training
    runner.train()
    runner.load_checkpoint(save(tmp_path, state))
    log = log_of(runner)
    assert "% of the student's weights" in log and 'other shape' in log and 'WARNING' in log
    assert torch.equal(runner.model.backbone[0].bias.data, torch.full((4,), 7.0))


def trained(folder, **kwargs):
    runner = make_runner(folder, **kwargs)
    runner.train()
    return runner


@pytest.mark.parametrize('workers', [0, 2])
def test_goes_on_to_the_bit(tmp_path, workers):
    whole = trained(tmp_path / 'whole', workers=workers)
    # killed in its third epoch, after the checkpoint of the second
    part = make_runner(tmp_path / 'part', workers=workers)
    count = iter(range(100))
    step = part.model.train_step
    part.model.train_step = lambda *args, **kwargs: (
        step(*args, **kwargs) if next(count) < 9 else kill()
    )
    with pytest.raises(Killed):
        part.train()
    torch.manual_seed(99)
    on = trained(tmp_path / 'part', workers=workers, resume=True, scores=(0.3, 0.3))
    assert "epoch_2.pth'" in log_of(on)
    assert same(weights(on), weights(whole))
    scheduled = [g['lr'] for g in on.optim_wrapper.param_groups]
    assert scheduled == [g['lr'] for g in whole.optim_wrapper.param_groups]
    other = trained(tmp_path / 'other', workers=workers, epochs=2)
    assert not same(weights(other), weights(whole))


def kill():
    raise Killed


@pytest.mark.parametrize('workers', [0, 2])
def test_equal_seeds_give_equal_weights(tmp_path, workers):
    """For one number of workers: another one augments with other random numbers."""
    one, other = (trained(tmp_path / name, workers=workers, epochs=2) for name in 'ab')
    assert same(weights(one), weights(other))


@pytest.mark.parametrize('workers', [0, 2])
def test_goes_on_to_the_bit_within_an_epoch(tmp_path, workers):
    every = {'by_epoch': False, 'interval': 3, 'max_keep_ckpts': 10, 'save_best': None}
    kwargs = dict(workers=workers, epochs=2, checkpoint=every)
    whole = trained(tmp_path / 'whole', **kwargs)
    for iteration in (3, 6):
        on = trained(
            tmp_path / f'on_{iteration}',
            resume=True,
            load_from=str(tmp_path / 'whole' / f'iter_{iteration}.pth'),
            **kwargs,
        )
        assert on.iter == 8 and same(weights(on), weights(whole)), iteration


def test_a_validation_that_was_cut_off_is_done_again(tmp_path):
    whole = trained(tmp_path / 'whole', scores=(0.1, 0.9, 0.3))
    with pytest.raises(Killed):
        trained(tmp_path / 'part', scores=(0.1, Killed()))
    folder = tmp_path / 'part'
    assert [f.name for f in folder.glob('best_*')] == ['best_score_epoch_1.pth']
    on = trained(folder, resume=True, scores=(0.9, 0.3))
    assert [f.name for f in folder.glob('best_*')] == ['best_score_epoch_2.pth']
    assert 'validation after epoch 2 is done first' in log_of(on)
    assert same(weights(on), weights(whole))
    scores = on.message_hub.get_scalar('val/score').data[0]
    assert list(scores) == [0.1, 0.9, 0.3]


def test_a_validation_that_was_done_is_not_done_again(tmp_path):
    trained(tmp_path, epochs=2, scores=(0.1, 0.2))  # the second is the best: known to epoch_2.pth
    assert torch.load(tmp_path / 'epoch_2.pth', weights_only=True)[STATE_KEY]['validated']
    on = trained(tmp_path, epochs=3, scores=(0.3,), resume=True)
    assert 'is done first' not in log_of(on)


def test_a_new_schedule_is_said_and_can_be_had(tmp_path):
    trained(tmp_path / 'a', epochs=2)
    file = str(tmp_path / 'a' / 'epoch_2.pth')
    longer = [{'type': 'CosineAnnealingLR', 'T_max': 12}]
    kwargs = dict(schedule=longer, lr=0.05, scores=(0.2, 0.1), load_from=file, resume=True)
    kept = trained(tmp_path / 'kept', **kwargs)
    log = log_of(kept)
    assert 'optimizer.lr: 0.1 in the checkpoint, 0.05 in the config' in log
    assert 'T_max: 6 in the checkpoint, 12 in the config' in log and '--new-schedule' in log
    runner = make_runner(tmp_path / 'new', **kwargs)
    runner.new_schedule = True
    runner.train()
    anew = trained(tmp_path / 'anew', schedule=longer, lr=0.05)
    rates = [r.optim_wrapper.param_groups[0]['lr'] for r in (kept, runner, anew)]
    assert rates[0] != pytest.approx(rates[2]) and rates[1] == pytest.approx(rates[2], abs=1e-12)
    assert 'in the checkpoint' not in log_of(runner)


def test_a_schedule_that_follows_a_metric_can_not_be_replayed(tmp_path):
    trained(tmp_path / 'a', epochs=1)
    plateau = [{'type': 'ReduceOnPlateauLR', 'monitor': 'score', 'rule': 'greater'}]
    file = str(tmp_path / 'a' / 'epoch_1.pth')
    runner = make_runner(tmp_path / 'b', schedule=plateau, load_from=file, resume=True)
    runner.new_schedule = True
    with pytest.raises(ConfigError, match='param_scheduler: --new-schedule'):
        runner.train()


def test_resuming_needs_the_state_of_a_training(tmp_path):
    trained(tmp_path / 'a', epochs=1)
    best = str(tmp_path / 'a' / 'best_score_epoch_1.pth')
    with pytest.raises(CheckpointError, match='not the state of a training .optimizer'):
        trained(tmp_path / 'b', load_from=best, resume=True)


def test_a_state_that_no_training_has(tmp_path):
    trained(tmp_path / 'a', epochs=1)
    file = tmp_path / 'a' / 'epoch_1.pth'
    whole = torch.load(file, weights_only=True)
    for change in (
        {'meta': {**whole['meta'], 'iter': 'x'}},
        {'meta': {**whole['meta'], 'epoch': -1}},
        {'meta': [1]},
        {'message_hub': 'x'},
        {'optimizer': None},
    ):
        torch.save({**whole, **change}, file)
        with pytest.raises(CheckpointError, match='not the state of a training'):
            trained(tmp_path / 'b', load_from=str(file), resume=True)


def test_a_training_that_is_finished_is_said(tmp_path):
    trained(tmp_path, epochs=1)
    runner = trained(tmp_path, epochs=1, resume=True)
    assert 'has 1 epochs, and train_cfg.max_epochs is 1: nothing is left' in log_of(runner)


def test_begins_anew_where_nothing_is_there(tmp_path):
    runner = trained(tmp_path, epochs=1, resume=True)
    assert 'begins anew' in log_of(runner) and (tmp_path / 'epoch_1.pth').is_file()


def test_other_number_of_processes_is_said(tmp_path):
    trained(tmp_path / 'a', epochs=1)
    file = tmp_path / 'a' / 'epoch_1.pth'
    content = torch.load(file, weights_only=True)
    content[STATE_KEY]['generators'] *= 2
    torch.save(content, file)
    on = trained(tmp_path / 'a', epochs=2, resume=True)
    assert 'was written by 2 processes, and 1 go on' in log_of(on)
