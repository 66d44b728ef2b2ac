"""The command line that `tools/train.py` and `tools/test.py` share."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..errors import CheckpointError, InputError

__all__ = ['add_common_arguments', 'build_runner', 'find_checkpoint', 'find_resume', 'run_tool']

# What DataLoader puts before the message of an error raised in a worker process.
_WORKER_PREFIX = re.compile(r'\ACaught \w+ in .*\n(?:[\w.]+\.)?\w+: ', re.DOTALL)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that mmdet's tools have in common."""
    parser.add_argument(
        '--work-dir', help='folder for logs and results (default: work_dirs/<name of the config>)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help="settings to override in the config, as in train_cfg.max_epochs=3 or 'key=[a,b]'",
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run are started',
    )
    # torch.distributed.launch gives one spelling or the other, by its version
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by torch')


def find_checkpoint(path: str) -> str:
    """Check that a checkpoint is there; addresses such as ``https://`` are left to mmengine.

    Raises:
        CheckpointError: No such file.
    """
    if '://' in path:
        return path
    file = Path(path).expanduser()
    if not file.is_file():
        found = sorted(p.name for p in file.parent.glob('*.pth')) if file.parent.is_dir() else []
        there = f'; checkpoints in that folder: {", ".join(found)}' if found else ''
        raise CheckpointError(f"checkpoint '{path}' does not exist: check the path{there}")
    return str(file)


def find_resume(work_dir: str, resume: str) -> str:
    """Find the checkpoint to resume from.

    Args:
        work_dir: The folder to search if ``resume`` is ``'auto'``: the checkpoint that its
            ``last_checkpoint`` names, which may have been written before the folder was moved.
        resume: ``'auto'`` or a checkpoint's path.

    Raises:
        CheckpointError: There is none.
    """
    if resume != 'auto':
        return find_checkpoint(resume)
    folder = Path(work_dir).expanduser()
    pointer = folder / 'last_checkpoint'
    if pointer.is_file():
        last = Path(pointer.read_text(encoding='utf-8').strip())
        for file in (last, folder / last.name):
            if file.is_file():
                return str(file)
    raise CheckpointError(
        f"--resume: no checkpoint in '{work_dir}' (searched by its file last_checkpoint): leave "
        'out --resume to start anew, or give the path, --resume PATH'
    )


def build_runner(config: Config) -> Runner:
    """Build the config's runner; mmengine's own unless ``runner_type`` says otherwise."""
    return RUNNERS.build(config) if 'runner_type' in config else Runner.from_cfg(config)


def run_tool(main: Callable[[argparse.Namespace], int | None], args: argparse.Namespace) -> int:
    """Run a tool; what the user can mend is said in one line on stderr, without a traceback.

    Args:
        main: The tool itself; returns its exit code, or nothing for 0.
        args: Its command line.

    Returns:
        The exit code of ``main``, or 2 for an :class:`ldwsccd_mmdet.errors.InputError`.
    """
    os.environ.setdefault('LOCAL_RANK', str(getattr(args, 'local_rank', 0)))
    try:
        return main(args) or 0
    except InputError as error:
        print(f'error: {_WORKER_PREFIX.sub("", str(error))}'.rstrip(), file=sys.stderr)
        return 2
    except pickle.UnpicklingError as error:
        reason = ' '.join(str(error).split())
        print(
            'error: the checkpoint was not loaded, since it holds more than weights: use one from '
            f'a source you trust, saved by mmengine ({reason})',
            file=sys.stderr,
        )
        return 2
