"""Pictures of detections and of what the distillation sees."""

from .cytology_visualizer import CytologyVisualizer
from .draw_detections import draw_detections, label_texts

__all__ = ['CytologyVisualizer', 'draw_detections', 'label_texts']
