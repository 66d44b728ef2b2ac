"""Pictures and pages of detections."""

from .cytology_visualizer import CytologyVisualizer
from .draw_detections import draw_detections, label_texts
from .palette import class_palette
from .report import Report, write_report
from .report_gallery import choose_fields
from .report_tables import ModelResult, Run
from .training_curves import plot_training_curves, read_training_log

__all__ = [
    'CytologyVisualizer',
    'ModelResult',
    'Report',
    'Run',
    'choose_fields',
    'class_palette',
    'draw_detections',
    'label_texts',
    'plot_training_curves',
    'read_training_log',
    'write_report',
]
