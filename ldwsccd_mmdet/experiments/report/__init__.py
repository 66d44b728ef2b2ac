"""The report: one HTML page, Markdown and CSV files from what trainings and tests left on disk."""

from .ap_table import write_ap_table
from .collect import collect_report
from .gallery import choose_fields
from .page import Report, write_report
from .sources import parse_source, training_source
from .tables import ModelResult, Run
from .training_curves import plot_training_curves, read_training_log
from .training_page import write_training_page

__all__ = [
    'ModelResult',
    'Report',
    'Run',
    'choose_fields',
    'collect_report',
    'parse_source',
    'plot_training_curves',
    'read_training_log',
    'training_source',
    'write_ap_table',
    'write_report',
    'write_training_page',
]
