"""Runner and training loop."""

from .cell_runner import CellRunner
from .resumable_train_loop import ResumableTrainLoop

__all__ = ['CellRunner', 'ResumableTrainLoop']
