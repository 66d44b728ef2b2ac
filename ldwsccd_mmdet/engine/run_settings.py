"""Lengths, rates and limits of a run that can't be meant, found before anything is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import check_argument

__all__ = ['check_run_settings']

#: Whole numbers, the least that each may be.
_WHOLE = {
    'train_cfg.max_epochs': 1,
    'train_cfg.max_iters': 1,
    'train_cfg.val_interval': 1,
    'train_cfg.val_begin': 0,
    'optim_wrapper.accumulative_counts': 1,
    'train_dataloader.batch_size': 1,
    'val_dataloader.batch_size': 1,
    'test_dataloader.batch_size': 1,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'test_dataloader.num_workers': 0,
}
#: Numbers above 0.
_POSITIVE = (
    'optim_wrapper.clip_grad.max_norm',
    'optim_wrapper.clip_grad.clip_value',
    'optim_wrapper.optimizer.lr',
)
_NOT_NEGATIVE = ('optim_wrapper.optimizer.weight_decay', 'optim_wrapper.optimizer.momentum')


def check_run_settings(config: Mapping[str, Any]) -> None:
    """Check the numbers that mmengine and torch take in silence, or fail on much later.

    A negative ``max_norm`` turns every gradient round; with ``max_epochs=-1`` a training ends
    before its first step and calls itself done.

    Args:
        config: The config.

    Raises:
        ConfigError: A number is out of its range.
    """
    for key, least in _WHOLE.items():
        value = _find(config, key)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        right = value is None or (whole and not isinstance(value, bool) and value >= least)
        check_argument(right, key, f'a whole number of at least {least}', value)
    for key in (*_POSITIVE, *_NOT_NEGATIVE):
        value = _find(config, key)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is None or not number and key.endswith('.momentum'):
            continue
        right = (
            number and math.isfinite(value) and (value > 0 or (key in _NOT_NEGATIVE and not value))
        )
        expected = 'a number of 0 or more' if key in _NOT_NEGATIVE else 'a number above 0'
        check_argument(bool(right), key, expected, value)


def _find(config: Mapping[str, Any], key: str) -> Any:
    """Value of a dotted key; None where there is none."""
    part: Any = config
    for name in key.split('.'):
        if not isinstance(part, Mapping):
            return None
        part = part.get(name)
    return part
