"""Commands as a user gives them, in this process."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from mmengine.logging import MMLogger

from ldwsccd.main import command_module, parse_args
from ldwsccd.tool import run_tool

ROOT = Path(__file__).resolve().parents[1]


def new_log() -> None:
    """Forget the logs of commands before: what they wrote to, a test's output, may be closed."""
    MMLogger._instance_dict.clear()


def run(name: str, *arguments: object) -> int:
    """Run ``ldwsccd NAME ARGUMENTS``; returns the exit code."""
    new_log()
    args = parse_args(name, [str(argument) for argument in arguments])
    return run_tool(command_module(name).main, args)


def run_door(tool: str, *arguments: object) -> int:
    """Run a file of ``tools/`` as a script; returns the exit code."""
    new_log()
    before = sys.argv
    sys.argv = [tool, *map(str, arguments)]
    try:
        runpy.run_path(str(ROOT / tool), run_name='__main__')
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.argv = before
    raise AssertionError(f'{tool} ended without an exit code')
