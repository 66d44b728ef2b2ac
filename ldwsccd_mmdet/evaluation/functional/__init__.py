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
from .image_level import ImageLevel, RocCurve, image_level, roc_curve
from .matching import Matches, match_detections
from .overlapping_cells import OverlapMetrics, overlap_metrics, overlapping_truths
from .proposal_recall import ProposalRecall, proposal_recall

__all__ = [
    'KINDS',
    'Bootstrap',
    'Calibration',
    'Curve',
    'DetectionErrors',
    'DetectionMetrics',
    'ImageLevel',
    'Matches',
    'OperatingPoint',
    'OverlapMetrics',
    'ProposalRecall',
    'RocCurve',
    'best_point',
    'calibration',
    'confusion_matrix',
    'detection_curve',
    'evaluate_detections',
    'image_level',
    'interval',
    'match_detections',
    'overlap_metrics',
    'overlapping_truths',
    'point_at',
    'proposal_recall',
    'roc_curve',
    'sensitivity_at',
    'sort_errors',
]
