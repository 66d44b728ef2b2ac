"""Batched operations that several models share."""

from .cluster_nms import cluster_nms
from .diou_nms import diou_nms
from .distance_iou import iou_and_distance
from .pairwise_iou import pairwise_iou
from .probabilities import probabilities
from .region_batch import RegionBatch
from .renamed_arguments import refuse_old_arguments

__all__ = [
    'RegionBatch',
    'cluster_nms',
    'diou_nms',
    'iou_and_distance',
    'pairwise_iou',
    'probabilities',
    'refuse_old_arguments',
]
