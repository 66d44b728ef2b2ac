"""Pictures and pages of detections."""

from .cytology_visualizer import CytologyVisualizer
from .draw_detections import draw_detections, label_texts
from .palette import class_palette
from .report import ModelResult, Report, choose_fields, truth_boxes, write_report
from .training_curves import plot_training_curves, read_training_log

__all__ = [
    'CytologyVisualizer',
    'ModelResult',
    'Report',
    'choose_fields',
    'class_palette',
    'draw_detections',
    'label_texts',
    'plot_training_curves',
    'read_training_log',
    'truth_boxes',
    'write_report',
]
