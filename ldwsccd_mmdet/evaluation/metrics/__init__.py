"""Metrics for the configs."""

from .cytology_metric import CytologyMetric
from .pseudo_box_metric import PseudoBoxMetric

__all__ = ['CytologyMetric', 'PseudoBoxMetric']
