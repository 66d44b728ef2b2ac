"""Measures of detections: arrays in, dataclasses out."""

from .calibration import Calibration, calibration
from .curves import (
    Curve,
    OperatingPoint,
    best_point,
    detection_curve,
    point_at,
    sensitivity_at,
)
from .detection_errors import (
    KINDS,
    DetectionErrors,
    confusion_matrix,
    sort_errors,
)
from .detection_metrics import (
    Bootstrap,
    DetectionMetrics,
    evaluate_detections,
    interval,
)
from .matching import Matches, match_detections
from .proposal_recall import ProposalRecall, proposal_recall

__all__ = [
    'KINDS',
    'Bootstrap',
    'Calibration',
    'Curve',
    'DetectionErrors',
    'DetectionMetrics',
    'Matches',
    'OperatingPoint',
    'ProposalRecall',
    'best_point',
    'calibration',
    'confusion_matrix',
    'detection_curve',
    'evaluate_detections',
    'interval',
    'match_detections',
    'point_at',
    'proposal_recall',
    'sensitivity_at',
    'sort_errors',
]
