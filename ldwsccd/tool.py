"""The one place where an error becomes one line on stderr and an exit code."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import sys
from collections.abc import Callable
from importlib import import_module

__all__ = ['run_tool']

# What DataLoader puts before the message of an error raised in a worker process.
_WORKER_PREFIX = re.compile(r'\ACaught \w+ in .*\n(?:[\w.]+\.)?\w+: ', re.DOTALL)


def run_tool(main: Callable[[argparse.Namespace], int | None], args: argparse.Namespace) -> int:
    """Run a command; what the user can mend is said in one line, without a traceback.

    An error is the user's to mend if its class has an ``exit_code``, as
    :class:`ldwsccd_mmdet.errors.InputError` and its kind have: asking for it loads nothing.

    Args:
        main: The command itself; returns its exit code, or nothing for 0.
        args: Its command line.

    Returns:
        The exit code of ``main``, or 2 for such an error.
    """
    os.environ.setdefault('LOCAL_RANK', str(getattr(args, 'local_rank', 0)))
    try:
        # before mmdet: the operators that its import asks for may be ours
        import_module('ldwsccd_mmdet')
        return main(args) or 0
    except pickle.UnpicklingError as error:
        reason = ' '.join(str(error).split())
        _say(
            'the checkpoint was not loaded, since it holds more than weights: use one from '
            f'a source you trust, saved by mmengine ({reason})'
        )
        return 2
    except Exception as error:
        exit_code = getattr(type(error), 'exit_code', None)
        if exit_code is None:
            raise
        _say(_WORKER_PREFIX.sub('', str(error)))
        return int(exit_code)


def _say(message: str) -> None:
    print(f'error: {message}'.rstrip(), file=sys.stderr)
