"""Pictures of detections and of what the distillation sees."""

from ..optional import HAS_MMDET
from .draw_detections import draw_detections, label_texts

if HAS_MMDET:
    from .cytology_visualizer import CytologyVisualizer

__all__ = ['CytologyVisualizer', 'draw_detections', 'label_texts']
