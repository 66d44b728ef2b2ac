"""Every argument of every class of this package that a config can name, and wrong values for it."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union, get_args, get_origin

from ldwsccd_mmdet.engine.argument_types import accepted_arguments, type_hints
from ldwsccd_mmdet.engine.registered import registered

__all__ = ['Case', 'bad_values', 'cases', 'own_classes']

#: Runners are built of the whole config, whose keys have tests of their own.
_NOT_HERE = {'CellRunner', 'TerminalRunner'}
#: Numbers without an upper bound: a seed, or a limit that is none when it is large.
_MAY_BE_HUGE = {'seed', 'max_per_img', 'max_per_class', 'max_dets', 'num_images', 'max_side'}


class Case(NamedTuple):
    """A class, one of its arguments (or a misspelt one), what is wrong with it, the value."""

    kind: str
    name: str
    fault: str
    value: Any


def own_classes() -> dict[str, Callable[..., Any]]:
    """The registered classes of this package, by name."""
    return {
        name: kind
        for name, kinds in sorted(registered().items())
        for kind in kinds
        if kind.__module__.startswith('ldwsccd_mmdet.') and name not in _NOT_HERE
    }


def cases() -> Iterator[Case]:
    """All of them."""
    for title, kind in own_classes().items():
        hints = type_hints(kind)
        for name in accepted_arguments(kind)[0]:
            hint, module = hints.get(name, (Any, ''))
            if not module.startswith('ldwsccd_mmdet.') or name in ('args', 'kwargs', 'old'):
                continue
            yield Case(title, f'{name}_', 'misspelt', 1)
            for fault, value in bad_values(name, hint, _default(kind, name)):
                yield Case(title, name, fault, value)


def bad_values(name: str, hint: Any, default: Any) -> Iterator[tuple[str, Any]]:
    """Values that an argument of a type can't have."""
    parts = _parts(hint)
    if any(not _is_of_a_config(get_origin(part) or part) for part in parts):
        return
    if type(None) not in parts and default is not None:
        yield 'none', None
    if not parts & {dict, Mapping} and not any(_is(part, Mapping) for part in parts):
        yield 'dict', {'a': 1}
    if str not in parts:
        yield 'text', 'wrong'
    if not parts & {int, float}:
        yield 'number', 7.5
    if bool not in parts:
        yield 'flag', True
    numbers = [part for part in parts if part in (int, float)]
    for part in parts:
        if _is(part, Sequence) and part is not str:
            numbers += [item for item in get_args(part) if item in (int, float)]
            yield 'list of other things', [{'a': 1}]
    if not numbers:
        return
    wrap = _wrap(parts, default)
    yield 'nan', wrap(math.nan)
    yield 'inf', wrap(math.inf)
    yield 'negative', wrap(-3)
    if int in numbers and float not in numbers:
        yield 'part', wrap(1.5)
        if name not in _MAY_BE_HUGE:
            yield 'huge', wrap(10**15)


def _parts(hint: Any) -> set[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*map(_parts, get_args(hint)))
    return {hint}


def _is_of_a_config(part: Any) -> bool:
    """Whether a config can hold a value of a type at all."""
    rooms = ('builtins', 'collections.abc', 'pathlib', 'mmengine.config.config', 'types')
    return inspect.isclass(part) and part.__module__ in rooms


def _is(part: Any, kind: type) -> bool:
    plain = get_origin(part) or part
    return inspect.isclass(plain) and issubclass(plain, kind)


def _wrap(parts: set[Any], default: Any) -> Callable[[Any], Any]:
    """Put a number where the type wants one: alone, or first in a list as long as the default."""
    if parts & {int, float}:
        return lambda value: value
    rest = list(default)[1:] if isinstance(default, (list, tuple)) else []
    return lambda value: [value, *rest]


def _default(kind: Callable[..., Any], name: str) -> Any:
    parameter = inspect.signature(kind).parameters.get(name)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default
