"""Losses of LD-WSCCD: one file per equation or family of equations.

======== =============================== ==============================
equation function or class               file
======== =============================== ==============================
8        ``FeatureImitationLoss``        ``feature_imitation_loss.py``
9        ``foreground_mask``             ``foreground_mask.py``
9        ``fgd_scale_masks`` (FGD's)     ``foreground_mask.py``
10       ``spatial_attention``           ``attention.py``
11       ``channel_attention``           ``attention.py``
12-14    ``LocalDistillationLoss``       ``local_distillation_loss.py``
10-13    ``LevelDistillation`` (a level) ``level_distillation.py``
none     ``LogitDistillationLoss``       ``logit_distillation_loss.py``
15       ``mil_scores``                  ``mil_loss.py``
15       ``image_level_loss``            ``mil_loss.py``
16       ``refinement_targets``          ``refinement_loss.py``
16       ``refinement_loss``             ``refinement_loss.py``
16       WSOD2's weights and boxes       ``objectness_distillation.py``
======== =============================== ==============================
"""

from .attention import channel_attention, spatial_attention
from .complete_iou_loss import CompleteIoULoss, complete_iou
from .feature_imitation_loss import FeatureImitationLoss
from .foreground_mask import fgd_scale_masks, foreground_mask
from .hinge_loss import HingeLoss
from .level_distillation import LevelDistillation
from .local_distillation_loss import DistillationMaps, LocalDistillationLoss
from .logit_distillation_loss import LogitDistillationLoss
from .mil_loss import image_level_loss, mil_scores
from .objectness_distillation import (
    objectness_box_loss,
    objectness_decay,
    objectness_weights,
    regression_references,
    top_down_confidence,
)
from .refinement_loss import refinement_loss, refinement_targets

__all__ = [
    'CompleteIoULoss',
    'DistillationMaps',
    'HingeLoss',
    'FeatureImitationLoss',
    'LevelDistillation',
    'LocalDistillationLoss',
    'LogitDistillationLoss',
    'channel_attention',
    'complete_iou',
    'fgd_scale_masks',
    'foreground_mask',
    'image_level_loss',
    'mil_scores',
    'objectness_box_loss',
    'objectness_decay',
    'objectness_weights',
    'refinement_loss',
    'refinement_targets',
    'regression_references',
    'spatial_attention',
    'top_down_confidence',
]
