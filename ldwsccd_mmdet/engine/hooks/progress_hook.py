"""A bar of the whole training, and one line an epoch."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ['ProgressHook']


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a training on a terminal; :class:`TerminalRunner` brings it.

    The line of an epoch has its number, the mean of its losses, the mAP of its validation if there
    was one, and its time: ``epoch 3/20  loss 2.31  bbox_mAP_50 45.1  62 s``.

    Args:
        console: Where to show it; None: the standard output.
    """

    priority = 'VERY_LOW'

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(emoji=False)
        self._bar: Progress | None = None
        self._line: list[str] = []
        self._start = time.monotonic()
        self._streams: list[tuple[logging.StreamHandler, Any]] = []

    def before_train(self, runner: Runner) -> None:
        """Say where the lines of the log are, and start the bar."""
        self.console.print(
            f'Log: {runner.logger.log_file}', markup=False, highlight=False, soft_wrap=True
        )
        self._bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TextColumn('left'),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._task = self._bar.add_task('training', total=runner.max_iters, completed=runner.iter)
        self._bar.start()
        for handler in runner.logger.handlers:
            if type(handler) is logging.StreamHandler:
                # the bar has put a stream of its own in place, whose lines stand above it
                self._streams.append((handler, handler.setStream(sys.stdout)))

    def before_train_epoch(self, runner: Runner) -> None:
        """Write the line of the epoch before, and start the clock."""
        self._write_line()
        self._start = time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Move the bar."""
        if self._bar is not None:
            text = f'epoch {runner.epoch + 1}/{runner.max_epochs}'
            self._bar.update(self._task, completed=runner.iter + 1, description=text)

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep the number and the mean loss of the epoch."""
        self._line = [f'epoch {runner.epoch + 1}/{runner.max_epochs}']
        losses = runner.message_hub.log_scalars.get('train/loss')
        if losses is not None:
            self._line.append(f'loss {losses.mean(len(runner.train_dataloader)):.2f}')

    def before_val(self, runner: Runner) -> None:
        """Say what the bar waits for."""
        if self._bar is not None:
            self._bar.update(self._task, description='validating')

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Add the mAP to the line."""
        name = _main_measure(list(metrics or {}))
        if name is not None and metrics is not None and self._line:
            self._line.append(f'{name.rpartition("/")[2]} {100 * metrics[name]:.1f}')

    def after_train(self, runner: Runner) -> None:
        """Write the last line, and take the bar away."""
        self.close()

    def close(self) -> None:
        """Write what is left, and give the terminal back; a second time does nothing."""
        self._write_line()
        for handler, stream in self._streams:
            if stream is not None:
                handler.setStream(stream)
        self._streams = []
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _write_line(self) -> None:
        if self._line:
            line = [*self._line, f'{time.monotonic() - self._start:.0f} s']
            self.console.print('  '.join(line), markup=False, highlight=False, soft_wrap=True)
        self._line = []


def _main_measure(names: Sequence[str]) -> str | None:
    """Choose the mAP at IoU 0.5, else the first mAP; None without one."""
    ends = [name for name in names if name.endswith('mAP_50')]
    return next(iter(ends or [name for name in names if 'mAP' in name]), None)
