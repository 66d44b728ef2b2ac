"""How sure it is that a box is a cell."""

import torch
from mmengine.structures import InstanceData
from torch import Tensor


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
