"""What a checkpoint of mmengine may hold beside tensors, so that torch's safe loader reads it.

``torch.load`` refuses every class and function that is not allow-listed
(``weights_only=True``). The checkpoints of mmengine 0.10.7 hold, beside weights:

- the log's :class:`mmengine.logging.HistoryBuffer`, with a table of its own methods;
- numpy arrays and scalars (the log, best scores, learning rates);
- the annealing function of ``OneCycleLR``.

:func:`allow_checkpoint_globals` allows these and nothing more. Where a name would open a door, it
is answered by a narrower stand-in: a checkpoint's ``getattr`` finds methods of the log buffer
only, its ``numpy.dtype`` makes number types only, and a log buffer takes numbers only (the
original would let a file replace the statistics of every later log).

torch before 2.6 reads any pickle in spite of ``weights_only``, and is not asked for.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

__all__ = ['allow_checkpoint_globals', 'checkpoint_globals']


class _LoadedHistoryBuffer(HistoryBuffer):
    """A log buffer as a checkpoint may describe it: two arrays of numbers and a length."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        arrays = {key: state.get(key) for key in ('_log_history', '_count_history')}
        max_length = state.get('max_length')
        if not isinstance(max_length, int) or not all(
            isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in 'biuf'
            for array in arrays.values()
        ):
            raise pickle.UnpicklingError(
                'the checkpoint holds a log buffer (HistoryBuffer) that is not made of numbers'
            )
        self._set_default_statistics()
        self.__dict__.update(arrays, max_length=max_length)
        # From here on an ordinary buffer, which mmengine saves and loads as one of its own.
        self.__class__ = HistoryBuffer


class _OneCycleFunctions:
    """Stands for ``OneCycleParamScheduler``, of which a checkpoint needs only these functions."""

    _annealing_cos = staticmethod(OneCycleParamScheduler._annealing_cos)
    _annealing_linear = staticmethod(OneCycleParamScheduler._annealing_linear)


_ATTRIBUTES: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        _LoadedHistoryBuffer: frozenset({'current', 'max', 'mean', 'min'}),
        _OneCycleFunctions: frozenset({'_annealing_cos', '_annealing_linear'}),
    }
)


def _checkpoint_getattr(owner: type, name: str) -> Any:
    """Answer the ``getattr`` by which pickle names a method, for the methods in question only."""
    if not isinstance(owner, type) or name not in _ATTRIBUTES.get(owner, ()):
        raise pickle.UnpicklingError(
            f'the checkpoint asks for attribute {name!r} of {owner!r}, which weights never need'
        )
    return getattr(owner, name)


def _number_dtype(spec: str, align: bool = False, copy: bool = False) -> np.dtype:
    """Make the numpy type that ``numpy.dtype`` would, if it is one of numbers."""
    dtype = np.dtype(spec, align=align, copy=copy) if isinstance(spec, str) else None
    if dtype is None or dtype.kind not in 'biuf':
        raise pickle.UnpicklingError(
            f'the checkpoint holds numpy data of type {spec!r}; only numbers are read'
        )
    return dtype


def checkpoint_globals() -> list[tuple[Callable, str]]:
    """List the globals a checkpoint may name, and what each of them stands for.

    Returns:
        Pairs ``(object, 'module.name')`` for :func:`torch.serialization.add_safe_globals`. numpy's
        own functions come under the names of numpy 1 and of numpy 2, whichever wrote the file.
    """
    # asked of numpy itself, as the module they live in has changed
    reconstruct: Any = np.array([0.0]).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    pairs: list[tuple[Callable, str]] = [
        (_LoadedHistoryBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_OneCycleFunctions, 'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'),
        (_checkpoint_getattr, 'builtins.getattr'),
        (np.ndarray, 'numpy.ndarray'),
        (_number_dtype, 'numpy.dtype'),
    ]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        pairs += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    # torch looks up the class of a dtype before it restores its byte order
    types = {type(np.dtype(code)) for code in '?bhilqBHILQefd'}
    pairs += [(kind, f'{kind.__module__}.{kind.__qualname__}') for kind in types]
    return pairs


def allow_checkpoint_globals() -> None:
    """Let ``torch.load(weights_only=True)`` read checkpoints of mmengine, in this process."""
    torch.serialization.add_safe_globals([*checkpoint_globals()])
