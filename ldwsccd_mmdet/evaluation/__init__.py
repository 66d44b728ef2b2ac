"""Evaluation of cervical cell detectors."""

from .coco_results import load_coco_results
from .functional import DetectionMetrics, evaluate_detections
from .metrics import CheckedCocoMetric, CytologyMetric
from .predictions import Detections, load_predictions

__all__ = [
    'CheckedCocoMetric',
    'CytologyMetric',
    'DetectionMetrics',
    'Detections',
    'evaluate_detections',
    'load_coco_results',
    'load_predictions',
]
