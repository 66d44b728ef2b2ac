"""Metrics for the configs."""

from .checked_coco_metric import CheckedCocoMetric
from .cytology_metric import CytologyMetric
from .pseudo_box_metric import PseudoBoxMetric

__all__ = ['CheckedCocoMetric', 'CytologyMetric', 'PseudoBoxMetric']
