"""Evaluation of cervical cell detectors."""

from .functional import DetectionMetrics, evaluate_detections
from .metrics import CytologyMetric
from .predictions import Detections, load_predictions

__all__ = [
    'CytologyMetric',
    'DetectionMetrics',
    'Detections',
    'evaluate_detections',
    'load_predictions',
]
