"""Seeds of a batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...utils import pairwise_iou


class Seeds(NamedTuple):
    """Regions that stand for a class of their image, padded to S >= 1 an image.

    Attributes:
        bboxes: (N, S, 4), x1, y1, x2, y2, in the regions' frame.
        labels: (N, S), int64 in [0, C).
        scores: (N, S), >= 0, what a seed weighs.
        valid: Boolean (N, S), false for padding.
        probs: (N, S), the probability that a seed is of its class, else it is background; None if
            no seed is in doubt.
    """

    bboxes: Tensor
    labels: Tensor
    scores: Tensor
    valid: Tensor
    probs: Tensor | None = None


def join_seeds(known: Seeds, mined: Seeds, fg_iou: float) -> Seeds:
    """Put known objects before mined ones.

    What is known of an object wins: a mined seed with IoU >= ``fg_iou`` to a known one is dropped.
    Mined seeds are not in doubt: their score is their weight.
    """
    iou = pairwise_iou(mined.bboxes, known.bboxes.to(mined.bboxes))
    covered = ((iou >= fg_iou) & known.valid[..., None]).any(dim=1)
    mined = mined._replace(valid=mined.valid & ~covered)
    if known.probs is not None:
        mined = mined._replace(probs=torch.ones_like(mined.scores))
    pairs = [(a, b) for a, b in zip(known, mined, strict=True) if a is not None and b is not None]
    return Seeds(*(torch.cat([a.to(b), b], dim=1) for a, b in pairs))
