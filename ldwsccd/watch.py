"""Run a training so that one can watch it: a bar on a terminal, and a page at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from ldwsccd_mmdet.engine.runner import CellRunner, TerminalRunner

from .config import build_runner

__all__ = ['watched_runner', 'write_curves']


def watched_runner(config: Config) -> Runner:
    """Build the runner of a training.

    On a terminal it shows a bar and one line an epoch, and the lines of mmengine's log go to its
    file alone. Elsewhere, as in a pipe, the lines are shown as ever.

    Args:
        config: The config, with its ``work_dir``.
    """
    ours = config.get('runner_type', CellRunner.__name__) == CellRunner.__name__
    if _is_main() and ours and sys.stdout.isatty():
        return TerminalRunner.from_cfg(config)
    return build_runner(config)


def write_curves(runner: Runner) -> None:
    """Write ``report.html`` with the curves of a training into its work directory."""
    folder = Path(runner.work_dir)
    # where another backend has the losses, there is nothing to draw
    if not _is_main() or not any(folder.glob('*/vis_data/scalars.json')):
        return
    from ldwsccd_mmdet.experiments.report import training_source, write_training_page

    page = write_training_page([training_source(folder)], folder / 'report.html')
    print(f'Page: {page}')


def _is_main() -> bool:
    return int(os.environ.get('RANK', 0)) == 0
