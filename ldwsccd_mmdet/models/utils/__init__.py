"""Batched operations that several models share."""

from .checkpoint_classes import checkpoint_classes
from .class_heads import class_heads, set_num_classes
from .cluster_nms import cluster_nms
from .diou_nms import diou_nms
from .distance_iou import iou_and_distance
from .local_conv import LocalConv2d
from .pairwise_iou import pairwise_iou
from .precision import at_least_float32, float_dtype, no_autocast
from .probabilities import probabilities
from .region_batch import RegionBatch, pad_boxes
from .renamed_arguments import refuse_old_arguments
from .restored_images import restored_images
from .training_progress import training_progress
from .weights_fit import LEAST_SHARE, WeightsFit, fit_weights, not_finite

__all__ = [
    'LEAST_SHARE',
    'LocalConv2d',
    'RegionBatch',
    'WeightsFit',
    'at_least_float32',
    'checkpoint_classes',
    'class_heads',
    'cluster_nms',
    'diou_nms',
    'fit_weights',
    'float_dtype',
    'iou_and_distance',
    'no_autocast',
    'not_finite',
    'pad_boxes',
    'pairwise_iou',
    'probabilities',
    'refuse_old_arguments',
    'restored_images',
    'set_num_classes',
    'training_progress',
]
