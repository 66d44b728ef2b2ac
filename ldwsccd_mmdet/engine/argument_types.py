"""Whether a value of a config fits the type that a class asks for, and is a number it can mean."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ['accepted_arguments', 'expected_number', 'expected_type', 'type_hints']

_NAMES = {int: 'a whole number', float: 'a number', bool: 'True or False', str: 'a text'}
#: Arguments of this package that are shares, or overlaps or scores, all in [0, 1].
_SHARES = frozenset(
    'calibration_score_thr dropout fg_iou fraction ignore_iou ignore_iou_thr iou_thr '
    'label_smoothing nms_iou pos_iou_thr relative_thr score_thr shrink ubiquitous'.split()
)
_MOST = 2**31  # from here on no count, size or weight is meant, and memory ends


@cache
def accepted_arguments(kind: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """Find the names of arguments that a class, or a function, takes.

    Args:
        kind: The class; what its ``**kwargs`` hand on is looked up in its bases.

    Returns:
        The names, and whether there are no others: what a class does with its ``**kwargs`` is known
        to its own code only.
    """
    names: list[str] = []
    functions = list(_functions(kind))
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # made in C
            return tuple(dict.fromkeys(names)), False
        names += [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            strict = function is functions[0]
            return tuple(name for name in dict.fromkeys(names) if name != 'self'), strict
    return tuple(name for name in dict.fromkeys(names) if name != 'self'), False


@cache
def type_hints(kind: Callable[..., Any]) -> Mapping[str, tuple[Any, str]]:
    """Types of the arguments of a class and its bases; none where they cannot be evaluated.

    Returns:
        For each argument its type, and the module of the class that asks for it.
    """
    hints: dict[str, tuple[Any, str]] = {}
    for function in reversed(list(_functions(kind))):
        module = getattr(function, '__module__', None) or ''
        try:
            found = get_type_hints(function)
        except Exception:  # names that only a type checker imports
            found = dict.fromkeys(getattr(function, '__annotations__', ()), Any)
        hints.update({name: (hint, module) for name, hint in found.items()})
    return hints


def _functions(kind: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What is called with the arguments of a class: its ``__init__``, and those of its bases."""
    if not inspect.isclass(kind):
        yield kind
        return
    for owner in inspect.getmro(kind):
        if '__init__' in vars(owner):
            yield vars(owner)['__init__']


def expected_type(value: Any, hint: Any) -> str | None:
    """Say in words what a value was expected to be, or None where it fits.

    Args:
        value: The value, as a config holds it.
        hint: The type asked for; one that no config can be checked against fits all.
    """
    return None if _fits(value, hint) else _words(hint)


def expected_number(name: str, value: Any, default: Any) -> str | None:
    """Say what a number of this package's classes may be, or None where it is such a one.

    All of them are counts, sizes, weights, shares: finite, and not negative unless the default is.

    Args:
        name: The argument.
        value: Its value; numbers in a list count too.
        default: Its default.
    """
    numbers, usual = _numbers(value), _numbers(default)
    if not all(map(math.isfinite, numbers)):
        return 'finite numbers' if isinstance(value, (list, tuple)) else 'a finite number'
    least, most = min([0, *usual]), math.inf if name == 'seed' else _MOST
    what = 'numbers' if isinstance(value, (list, tuple)) else 'a number'
    if any(n < least for n in numbers):
        return f'{what} of {least:g} or more'
    if name in _SHARES and any(n > 1 for n in numbers):
        return f'{what} from 0 to 1'
    return f'{what} below {most}' if any(n >= most for n in numbers) else None


def _numbers(value: Any) -> list[float]:
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def _fits(value: Any, hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is Literal:
        return value in args
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return whole and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    plain = origin or hint
    if not inspect.isclass(plain) or plain is object:
        return True
    if issubclass(plain, PurePath):
        return isinstance(value, (str, PurePath))
    if issubclass(plain, Mapping):
        return isinstance(value, Mapping)
    if issubclass(plain, Sequence) and plain.__module__ in ('builtins', 'collections.abc'):
        return isinstance(value, (list, tuple)) and _items_fit(value, plain, args)
    return True


def _items_fit(value: Sequence[Any], kind: type, args: tuple[Any, ...]) -> bool:
    if kind is tuple and args and Ellipsis not in args:
        return len(value) == len(args) and all(map(_fits, value, args))
    return not args or all(_fits(item, args[0]) for item in value)


def _words(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return ' or '.join(dict.fromkeys(map(_words, args)))
    if origin is Literal:
        return ' or '.join(map(repr, args))
    if hint is type(None):
        return 'None'
    if hint in _NAMES:
        return _NAMES[hint]
    plain = origin or hint
    if inspect.isclass(plain) and issubclass(plain, PurePath):
        return 'a path'
    if inspect.isclass(plain) and issubclass(plain, Mapping):
        return 'a dict'
    if plain is tuple and args and Ellipsis not in args:
        return f'{len(args)} values ({", ".join(map(_words, args))})'
    if inspect.isclass(plain) and issubclass(plain, Sequence):
        item = _words(args[0]) if args else ''
        plural = item.startswith('a ') and ' or ' not in item
        return f'a list of {item[2:]}s' if plural else f'a list of {item}' if item else 'a list'
    return getattr(plain, '__name__', str(plain))
