"""How sure it is that a box is a cell."""

import torch
from mmengine.structures import InstanceData
from torch import Tensor

NEAR_IOU = 0.2
"""Overlap with a box that may be loose from which on nothing is background for sure."""


def probabilities(instances: InstanceData) -> Tensor:
    """Probability that each box is a cell of its class.

    Args:
        instances: Boxes with ``labels`` (n,) and perhaps ``probs`` (n,), in [0, 1].

    Returns:
        (n,), float32: ``probs``, or 1 for all where there is none.
    """
    if 'probs' in instances:
        return instances.probs.float()
    return torch.ones(len(instances.labels), device=instances.labels.device)


def loose_probabilities(instances: InstanceData) -> Tensor:
    """Probability that each box lies on a cell of its class, but frames it badly.

    Args:
        instances: Boxes with ``labels`` (n,) and perhaps ``loose_probs`` (n,), in [0, 1].

    Returns:
        (n,), float32: ``loose_probs``, or 0 for all where there is none.
    """
    if 'loose_probs' in instances:
        return instances.loose_probs.float()
    return torch.zeros(len(instances.labels), device=instances.labels.device)
