"""The one place where an error becomes one line on stderr and an exit code."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from .outputs import check_outputs
from .ranges import check_numbers

__all__ = ['run_tool']

# What DataLoader puts before the message of an error raised in a worker process.
_WORKER_PREFIX = re.compile(r'\ACaught \w+ in .*\n(?:[\w.]+\.)?\w+: ', re.DOTALL)


def run_tool(main: Callable[[argparse.Namespace], int | None], args: argparse.Namespace) -> int:
    """Run a command; what goes wrong is said in one line.

    An error is the user's to mend if its class has an ``exit_code``, as
    :class:`ldwsccd_mmdet.errors.InputError` and its kind have: asking for it loads nothing. Other
    errors, most of them of mmengine and mmdet on a user's config, are said with the key of the
    config where it can be known; their traceback stands in the log file, if there is one.

    Args:
        main: The command itself; returns its exit code, or nothing for 0.
        args: Its command line; with ``traceback`` tracebacks are printed before the line.

    Returns:
        The exit code of ``main``, or 2 for an error.
    """
    os.environ.setdefault('LOCAL_RANK', str(getattr(args, 'local_rank', 0)))
    try:
        check_numbers(args)
        check_outputs(args)
        # before mmdet: the operators that its import asks for may be ours
        import_module('ldwsccd_mmdet')
        return main(args) or 0
    except Exception as error:
        if getattr(args, 'traceback', False):
            traceback.print_exception(error)
        exit_code = getattr(type(error), 'exit_code', None)
        if exit_code is None:
            _say(_describe(error, getattr(args, 'traceback', False)))
            return 2
        _say(re.sub(r'\s*\n\s*', ' ', _WORKER_PREFIX.sub('', str(error)).strip()))
        return int(exit_code)


def _describe(error: Exception, shown: bool) -> str:
    """Say an error that nobody foresaw in one line, and where its traceback is."""
    try:
        told = import_module('ldwsccd_mmdet.engine.config_errors')
        line, log = told.describe(error), told.log_traceback(error)
    except ImportError:  # torch or mmengine itself is missing
        line, log = f'{type(error).__name__}: {" ".join(str(error).split())}', None
    if log is not None:
        return f"{line} (traceback: '{log}')"
    return line if shown else f'{line} (--traceback shows where)'


def _say(message: str) -> None:
    print(f'error: {message}'.rstrip(), file=sys.stderr, flush=True)
    reply = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if reply:  # for the launcher, which says the first error last
        Path(reply).write_text(
            json.dumps({'message': message, 'timestamp': int(time.time())}), encoding='utf-8'
        )
