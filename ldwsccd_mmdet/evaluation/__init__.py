"""Evaluation of cervical cell detectors."""

from .average_precision import AveragePrecision, average_precision
from .predictions import Detections, load_predictions

__all__ = ['AveragePrecision', 'Detections', 'average_precision', 'load_predictions']
