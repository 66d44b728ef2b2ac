"""Batched operations that several models share."""

from .cluster_nms import cluster_nms
from .pairwise_iou import pairwise_iou
from .region_batch import RegionBatch

__all__ = ['RegionBatch', 'cluster_nms', 'pairwise_iou']
