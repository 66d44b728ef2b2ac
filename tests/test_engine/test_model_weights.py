"""What becomes of weights that a checkpoint lacks, or has in another shape."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from ldwsccd_mmdet.engine.model_weights import demand_weights, find_weights_of
from ldwsccd_mmdet.errors import CheckpointError


def large() -> nn.Module:
    """A model whose last layer, which tells the classes, is under 1 % of its weights."""
    return nn.Sequential(*(nn.Linear(1, 1) for _ in range(150)), nn.Linear(1, 4))


def check(state: Mapping[str, Tensor]) -> None:
    demand_weights(find_weights_of(large(), dict(state_dict=state), 'x.pth'), 'x.pth')


def test_a_weight_may_be_missing_but_not_of_another_shape() -> None:
    state = large().state_dict()
    check(state)
    check({name: value for name, value in state.items() if name != '150.bias'})
    with pytest.raises(CheckpointError, match=r"'x.pth' is not of this model.*\(1\) of another sh"):
        check({**state, '150.bias': torch.zeros(3)})
    with pytest.raises(CheckpointError, match='4 of 302 weights are missing'):
        check(dict(list(state.items())[:-4]))


def test_weights_that_are_not_finite() -> None:
    with pytest.raises(CheckpointError, match='not finite: 1 of 302, first 150.bias'):
        check({**large().state_dict(), '150.bias': torch.full((4,), float('nan'))})


def test_tensors_without_plain_numbers_are_no_weights() -> None:
    state = large().state_dict()
    for name in ('149.weight', '150.weight', '150.bias'):
        value = state.pop(name)
        for odd in (
            value.to_sparse(),
            value.to('meta'),
            torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
        ):
            fit = find_weights_of(large(), dict(state_dict={**state, name: odd}), 'x.pth')
            assert name in fit.absent
