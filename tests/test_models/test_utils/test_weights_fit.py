import pytest
import torch
from torch import nn

from ldwsccd_mmdet.models.utils import fit_weights, not_finite


def make():
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    model.bbox_head = nn.Linear(4, 2)
    return model


def random_state():
    return {k: torch.rand(v.shape).to(v.dtype) for k, v in make().state_dict().items()}


def flat(key):
    return 'ema_' + key.replace('.', '_')


@pytest.mark.parametrize(
    'prefix',
    ['', 'module.', 'student.', 'teacher.', 'architecture.', 'architecture.student.', 'model.']
    + ['ema_', 'module.model.', 'any.thing.'],
)
def test_whatever_stands_before_the_names(prefix):
    state = random_state()
    fit = fit_weights(make(), {f'{prefix}{key}': value for key, value in state.items()})
    assert fit.prefix == prefix and fit.share == 1 and not fit.absent and fit.unused == 0
    assert all(torch.equal(fit.state[key], value) for key, value in state.items())


def test_mmcvs_ema_writes_underscores():
    state = {flat(key): value for key, value in random_state().items()}
    fit = fit_weights(make(), state)
    assert fit.share == 1 and fit.prefix == 'ema_'


def test_plain_names_before_an_average_and_a_student_before_a_teacher():
    plain, other = random_state(), random_state()
    fit = fit_weights(make(), {**{flat(k): v for k, v in other.items()}, **plain})
    assert fit.prefix == '' and fit.others == ('ema_',) and fit.unused == len(other)
    both = {f'teacher.{k}': v for k, v in other.items()}
    both |= {f'student.{k}': v for k, v in plain.items()}
    fit = fit_weights(make(), both)
    assert fit.prefix == 'student.' and fit.others == ('teacher.',)
    assert all(torch.equal(fit.state[key], value) for key, value in plain.items())


def test_where_a_teacher_of_another_width_stands_first():
    state = {f'teacher.{k}': torch.zeros(7) for k in random_state()}
    state |= {f'student.{k}': v for k, v in random_state().items()}
    assert fit_weights(make(), state).prefix == 'student.'


def test_shares_and_shapes():
    state = random_state()
    state['bbox_head.weight'] = torch.zeros(5, 4)
    del state['backbone.0.bias'], state['backbone.1.num_batches_tracked']
    fit = fit_weights(make(), {**state, 'other.weight': torch.zeros(1)})
    assert fit.missing == ('backbone.0.bias',) and fit.misshapen == ('bbox_head.weight',)
    assert fit.absent == ('backbone.0.bias', 'bbox_head.weight') and fit.unused == 1
    assert len(fit.wanted) == 8 and fit.share == pytest.approx(6 / 8)
    assert 'bbox_head.weight' not in fit.state
    head = fit.of(lambda name: name.startswith('bbox_head.'))
    assert head.share == 0.5 and head.missing == ()
    assert '2 of 8 weights are missing or (1) of another shape, first backb' in fit.describe()


@pytest.mark.parametrize('state', [{}, {'epoch': 3}, {'conv.weight': torch.zeros(1)}])
def test_nothing_fits(state):
    fit = fit_weights(make(), state)
    assert fit.share == 0 and fit.prefix == '' and not fit.state


def test_finds_what_is_not_finite():
    state = random_state()
    assert not_finite(state) == [] and not_finite({}) == []
    state['backbone.1.running_var'][0] = float('inf')
    state['bbox_head.bias'][1] = float('nan')
    assert not_finite(state) == ['backbone.1.running_var', 'bbox_head.bias']
    fit = fit_weights(make(), {f'module.{k}': v for k, v in state.items()})
    assert fit.not_finite == ('backbone.1.running_var', 'bbox_head.bias')
