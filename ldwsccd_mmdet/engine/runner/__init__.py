"""Runner and training loop."""

from .cell_runner import CellRunner
from .resumable_train_loop import ResumableTrainLoop
from .terminal_runner import TerminalRunner

__all__ = ['CellRunner', 'ResumableTrainLoop', 'TerminalRunner']
