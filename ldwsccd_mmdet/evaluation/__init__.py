"""Evaluation of cervical cell detectors."""

from .functional import DetectionMetrics, evaluate_detections
from .metrics import CytologyMetric
from .predictions import Detections, load_predictions
from .truth import load_truth, truth_boxes

__all__ = [
    'CytologyMetric',
    'DetectionMetrics',
    'Detections',
    'evaluate_detections',
    'load_predictions',
    'load_truth',
    'truth_boxes',
]
