"""Metrics for the configs."""

from .cytology_metric import CytologyMetric

__all__ = ['CytologyMetric']
