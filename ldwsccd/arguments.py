"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = [
    'add_class_arguments',
    'add_config_options',
    'add_image_mode',
    'add_job_arguments',
    'add_run_arguments',
    'at_least',
    'fraction',
    'pair',
]


def add_config_options(
    parser: argparse.ArgumentParser, help: str = 'settings to override in the config'
) -> None:
    """Add ``--cfg-options``; ``load_config`` reads its texts as mmengine does."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=pair('KEY=VALUE'),
        metavar='KEY=VALUE',
        help=help,
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that mmdet's train and test have in common."""
    parser.add_argument(
        '--work-dir', help='folder for logs and results (default: work_dirs/<name of the config>)'
    )
    add_config_options(
        parser,
        "settings to override in the config, as in train_cfg.max_epochs=3 or 'key=[a,b]'",
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run are started',
    )
    # torch.distributed.launch gives one spelling or the other, by its version
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by torch')


def add_class_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--classes`` and ``--rename``."""
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help=f'classes, in the order of ids ({default})'
    )
    parser.add_argument(
        '--rename',
        nargs='+',
        default=[],
        type=pair('OLD=NEW, or OLD= to leave it out'),
        metavar='OLD=NEW',
        help='classes to rename; OLD= leaves one out',
    )


def add_image_mode(parser: argparse.ArgumentParser) -> None:
    """Add ``--image-mode``."""
    parser.add_argument(
        '--image-mode',
        choices=['symlink', 'copy', 'none'],
        default='symlink',
        help='how images get into the new folder (default: symlink)',
    )


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--jobs`` and ``--slurm``, which ``JobSettings`` takes, and ``--processes``."""
    parser.add_argument(
        '--processes',
        type=at_least(1),
        default=1,
        help='that share a training by torchrun, such as one a GPU, each with the batch size of '
        'its config (default: 1)',
    )
    parser.add_argument(
        '--jobs',
        type=at_least(1),
        help='stages at a time, each a process of its own (default: one after the other; with '
        '--slurm all that can run)',
    )
    parser.add_argument(
        '--slurm',
        nargs='*',
        type=pair('KEY=VALUE'),
        metavar='KEY=VALUE',
        help='hand the stages to Slurm; arguments of sbatch, as in partition=gpu gpus_per_node=1 '
        'time=600',
    )


def pair(form: str) -> Callable[[str], str]:
    """Make what checks that a text has an equals sign; ``form`` says what stands beside it."""

    def read(text: str) -> str:
        if '=' not in text:
            raise argparse.ArgumentTypeError(f'expected {form}, found {text}')
        return text

    return read


def fraction(text: str) -> float:
    """Read a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'expected a number from 0 to 1, found {text}')
    return value


def at_least(least: int) -> Callable[[str], int]:
    """Make what reads a whole number of ``least`` or more."""

    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(
                f'expected a whole number of {least} or more, found {text}'
            )
        return value

    read.__name__ = 'whole number'  # as argparse calls it where the text is no number
    return read
