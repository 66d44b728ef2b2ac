"""How the weights of a checkpoint fit a model, whatever stands before their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ['LEAST_SHARE', 'WeightsFit', 'fit_weights', 'not_finite']

#: Share of its weights from which on a model is that of a checkpoint.
LEAST_SHARE = 0.99
_EMA = 'ema_'


@dataclass(frozen=True)
class WeightsFit:
    """What a checkpoint has of a model's weights.

    Batch counters (``num_batches_tracked``), which old checkpoints lack, are loaded and not
    counted.

    Attributes:
        state: The checkpoint's weights under the model's names; none that has another shape.
        wanted: Names of the model's weights.
        missing: Those that the checkpoint has not.
        misshapen: Those that it has in another shape.
        not_finite: Those that it has with NaN or infinity in them.
        unused: How many weights of the checkpoint the model has not.
        prefix: What the checkpoint puts before the model's names.
        others: Further prefixes with a whole model behind them, such as a teacher's.
        first: Its first names, as they stand in it.
    """

    state: dict[str, Tensor]
    wanted: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]
    not_finite: tuple[str, ...]
    unused: int
    prefix: str
    others: tuple[str, ...]
    first: tuple[str, ...]

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of weights that the model does not get."""
        out = {*self.missing, *self.misshapen}
        return tuple(name for name in self.wanted if name in out)

    @property
    def share(self) -> float:
        """Share of the model's weights that it gets, in [0, 1]; 1 where there are none."""
        return 1 - len(self.absent) / len(self.wanted) if self.wanted else 1.0

    def of(self, keep: Callable[[str], bool]) -> WeightsFit:
        """The same for a part of the model: the names for which ``keep`` is true."""
        return replace(
            self,
            wanted=tuple(filter(keep, self.wanted)),
            missing=tuple(filter(keep, self.missing)),
            misshapen=tuple(filter(keep, self.misshapen)),
            not_finite=tuple(filter(keep, self.not_finite)),
        )

    def describe(self) -> str:
        """Say in a few words what is missing: how many, of which shape, and the first names."""
        return (
            f'{len(self.absent)} of {len(self.wanted)} weights are missing or '
            f'({len(self.misshapen)}) of another shape, first {", ".join(self.absent[:3])} '
            f'(the checkpoint begins with {", ".join(self.first[:2]) or "nothing"})'
        )


def fit_weights(model: nn.Module, state: Mapping[str, Any]) -> WeightsFit:
    """Find the model's weights in a checkpoint, below whatever prefix most of them stand.

    ``module.``, ``model.``, ``student.``, ``architecture.`` and the like are found, whatever they
    are called, and ``ema_`` of mmcv too, which writes ``_`` for the dots of a name. Where several
    have equally many, the plain names come first, and a teacher's last.

    Args:
        model: The model.
        state: ``state_dict`` of the checkpoint.
    """
    own = model.state_dict()
    tensors = {key: value for key, value in state.items() if _is_plain(value)}
    names, prefix, others = _find_names(own, tensors)
    fitting = {key: tensors[name] for key, name in names.items()}
    misshapen = {key for key, value in fitting.items() if value.shape != own[key].shape}
    wanted = tuple(key for key in own if not key.endswith('num_batches_tracked'))
    result: Any = type(own)()
    result.update((key, fitting[key]) for key in own if key in fitting and key not in misshapen)
    metadata = getattr(state, '_metadata', None)
    if not prefix and metadata is not None:
        result._metadata = metadata  # versions, by which modules read old checkpoints
    return WeightsFit(
        state=result,
        wanted=wanted,
        missing=tuple(key for key in wanted if key not in fitting),
        misshapen=tuple(key for key in wanted if key in misshapen),
        not_finite=tuple(key for key in not_finite(result) if key in own),
        unused=len(tensors) - len(names),
        prefix=prefix,
        others=others,
        first=tuple(tensors)[:3],
    )


def _is_plain(value: Any) -> bool:
    """Tell whether a value is a plain tensor: not sparse, not quantized, not without content."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_meta
    )


def not_finite(state: Mapping[str, Any]) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    tensors = {
        key: value
        for key, value in state.items()
        if _is_plain(value) and (value.is_floating_point() or value.is_complex())
    }
    if not tensors:
        return []
    # one transfer from the device for all of them
    finite = torch.stack([value.isfinite().all() for value in tensors.values()]).tolist()
    return [key for key, fine in zip(tensors, finite, strict=True) if not fine]


def _find_names(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[dict[str, str], str, tuple[str, ...]]:
    """Names in the checkpoint by those of the model; the prefix, and others as good as it."""
    flat = {key.replace('.', '_'): key for key in own}
    found: dict[str, dict[str, str]] = {'': {}}
    fitting: Counter[str] = Counter()
    for name, value in state.items():
        for prefix, key in _readings(name, own, flat):
            found.setdefault(prefix, {})[key] = name
            fitting[prefix] += value.shape == own[key].shape
    order = sorted(
        found,
        key=lambda p: (-fitting[p], -len(found[p]), 'teacher' in p, 'ema' in p, len(p), p),
    )
    best = order[0]
    whole = LEAST_SHARE * len(own)
    others = tuple(p for p in order[1:] if fitting[p] >= whole)
    return found[best], best, others


def _readings(
    name: str, own: Mapping[str, Tensor], flat: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Ways to read a name as a prefix and a name of the model."""
    starts = [0, *(index + 1 for index, letter in enumerate(name) if letter == '.')]
    readings = [(name[:start], name[start:]) for start in starts if name[start:] in own]
    if name.startswith(_EMA):
        rest = name[len(_EMA) :]
        key = rest if rest in own else flat.get(rest)
        if key is not None:
            readings.append((_EMA, key))
    return readings
