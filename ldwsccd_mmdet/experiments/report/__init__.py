"""The report: one HTML page, Markdown and CSV files from what trainings and tests left on disk."""

from .gallery import choose_fields
from .page import Report, write_report
from .tables import ModelResult, Run
from .training_curves import plot_training_curves, read_training_log

__all__ = [
    'ModelResult',
    'Report',
    'Run',
    'choose_fields',
    'plot_training_curves',
    'read_training_log',
    'write_report',
]
