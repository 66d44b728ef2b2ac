"""What a resumed training takes from its checkpoint although the config says something else."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from ..errors import ConfigError

__all__ = ['ResumedSettings']

_PROGRESS = {'base_values', 'best', 'cooldown_counter', 'last_step', 'num_bad_epochs', 'verbose'}
_SHOWN = 8


class ResumedSettings:
    """Rates and schedules as a config has them, to be compared with those of a checkpoint.

    Args:
        groups: ``param_groups`` of the optimizer, as built from the config.
        schedulers: Its schedulers, likewise, before their first step.
    """

    def __init__(self, groups: Sequence[Any], schedulers: Sequence[Any]) -> None:
        self.groups = [
            {key: deepcopy(value) for key, value in group.items() if key != 'params'}
            for group in groups
        ]
        self.schedules = [_settings_of(scheduler) for scheduler in schedulers]

    def differences(self, groups: Sequence[Any], schedulers: Sequence[Any]) -> list[str]:
        """Name each setting that differs, as ``key: A in the checkpoint, B in the config``.

        Args:
            groups: ``param_groups`` of the optimizer, after its state was loaded.
            schedulers: Its schedulers, likewise.
        """
        taken = ResumedSettings(groups, schedulers)
        found: dict[str, None] = {}  # each once, in order
        for old, new in zip(taken.groups, self.groups, strict=False):
            rates = {key for key in {*old, *new} if key != 'lr' or 'initial_lr' not in old}
            for key in sorted(rates):
                name = f'optim_wrapper.optimizer.{key.removeprefix("initial_")}'
                _compare(found, name, old.get(key), new.get(key))
        for index, (old, new) in enumerate(zip(taken.schedules, self.schedules, strict=True)):
            for key in sorted({*old, *new}):
                _compare(found, f'param_scheduler[{index}].{key}', old.get(key), new.get(key))
        lines = list(found)
        return (
            [*lines[:_SHOWN], f'and {len(lines) - _SHOWN} more'] if len(lines) > _SHOWN else lines
        )

    def replay(
        self, groups: Sequence[Any], schedulers: Sequence[Any], iterations: int, epoch_length: int
    ) -> None:
        """Give the optimizer the rates that the config has after so many iterations.

        Args:
            groups: ``param_groups`` of the optimizer, after its state was loaded.
            schedulers: Schedulers of the config, before their first step.
            iterations: Iterations that were trained.
            epoch_length: Iterations an epoch.

        Raises:
            ConfigError: A schedule follows the metrics of validations, which can't be replayed.
        """
        if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
            raise ConfigError(
                'param_scheduler: --new-schedule needs schedules that depend on the step alone, '
                'found one that follows a metric: leave out --new-schedule, or start from the '
                'weights with --cfg-options load_from=FILE and without --resume'
            )
        for group, planned in zip(groups, self.groups, strict=True):
            group.update(deepcopy(planned))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that no step of the optimizer came before
            for iteration in range(1, iterations + 1):
                for scheduler in schedulers:
                    if not scheduler.by_epoch:
                        scheduler.step()
                if iteration % epoch_length == 0:
                    for scheduler in schedulers:
                        if scheduler.by_epoch:
                            scheduler.step()


def _settings_of(scheduler: Any) -> dict[str, Any]:
    """Settings of a scheduler, without how far it is."""
    return {
        key: deepcopy(value)
        for key, value in scheduler.state_dict().items()
        if key not in _PROGRESS and not key.startswith('_') and not callable(value)
    }


def _compare(found: dict[str, None], name: str, old: Any, new: Any) -> None:
    if _plain(old) != _plain(new):
        found[f'{name}: {old!r} in the checkpoint, {new!r} in the config'] = None


def _plain(value: Any) -> Any:
    """Make lists of tuples, which a checkpoint does not keep apart."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
