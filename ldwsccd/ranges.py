"""Numbers on a command line: none of them is negative, infinite or without a value."""

from __future__ import annotations

import argparse
import math
from typing import Any

__all__ = ['NumberError', 'check_numbers']

_MOST = 2**31  # no count, size or number of pixels is meant from here on
_ANY_SIZE = ('seed', 'seeds')
_OWN = ('levels',)  # whose command knows the range


class NumberError(ValueError):
    """A number can't be meant; the message names the argument, what it may be, what it is."""

    exit_code = 2


def check_numbers(args: argparse.Namespace) -> None:
    """Check the numbers of a command line, before anything is loaded.

    They are counts, sizes, shares, scores, seeds and seconds. What else a command knows of their
    ranges it checks itself.

    Args:
        args: The arguments, read.

    Raises:
        NumberError: One is NaN, infinite, negative, or a whole number of 2^31 or more.
    """
    for key, value in vars(args).items():
        flag = f'--{key.replace("_", "-")}'
        for number in value if isinstance(value, (list, tuple)) else [value]:
            expected = None if key in _OWN else _expected(key, number)
            if expected is not None:
                raise NumberError(f'{flag}: expected {expected}, found {number}')


def _expected(key: str, number: Any) -> str | None:
    """What a number may be; None where it is such a one, or no number."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    if not math.isfinite(number):
        return 'a finite number'
    if number < 0:
        return 'a number of 0 or more'
    if isinstance(number, int) and number >= _MOST and key not in _ANY_SIZE:
        return f'a number below {_MOST}'
    return None
