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
        scores: (N, S), >= 0.
        valid: Boolean (N, S), false for padding.
    """

    bboxes: Tensor
    labels: Tensor
    scores: Tensor
    valid: Tensor


def join_seeds(known: Seeds, mined: Seeds, fg_iou: float) -> Seeds:
    """Put known objects before mined ones.

    What is known of an object wins: a mined seed with IoU >= ``fg_iou`` to a known one is dropped.
    """
    iou = pairwise_iou(mined.bboxes, known.bboxes.to(mined.bboxes))
    covered = ((iou >= fg_iou) & known.valid[..., None]).any(dim=1)
    mined = mined._replace(valid=mined.valid & ~covered)
    return Seeds(*(torch.cat([a.to(b), b], dim=1) for a, b in zip(known, mined, strict=True)))
