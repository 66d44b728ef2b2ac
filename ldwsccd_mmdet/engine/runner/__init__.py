from .cell_runner import CellRunner

__all__ = ['CellRunner']
