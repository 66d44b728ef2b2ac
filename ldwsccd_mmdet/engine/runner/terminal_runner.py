"""A training for someone who sits before it: a bar instead of the lines of the log."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from torch import nn

from ..hooks.progress_hook import ProgressHook
from .cell_runner import CellRunner

__all__ = ['TerminalRunner']


@RUNNERS.register_module()
class TerminalRunner(CellRunner):
    """A :class:`CellRunner` that shows a bar and one line an epoch on the terminal.

    The log file gets every line; the terminal only warnings and errors.
    """

    def build_logger(
        self, log_level: int | str = 'INFO', log_file: str | None = None, **kwargs: Any
    ) -> MMLogger:
        """Build mmengine's logger, whose lines below a warning go to the file alone."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:  # a FileHandler is one, too
                handler.setLevel(max(handler.level, logging.WARNING))
        return logger

    def train(self) -> nn.Module:
        """Train, with the bar; the terminal is left as it was, whatever ends the training."""
        bar = ProgressHook()
        self.register_hook(bar)
        try:
            return super().train()
        finally:
            bar.close()
