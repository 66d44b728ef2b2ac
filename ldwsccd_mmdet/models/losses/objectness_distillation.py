"""Objectness distillation of WSOD2: what the picture shows weighs what the head believes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..utils import at_least_float32, no_autocast, pairwise_iou


@torch.no_grad()
def top_down_confidence(scores: Tensor, labels: Tensor, seed_scores: Tensor) -> Tensor:
    r"""How sure the stage before was of what a region is now taught, eq. 5 of WSOD2.

    .. math::
        O_{td}^k(r) = \sum_{c=0}^{C} p^{k-1}_{rc} \hat p^k_{rc}

    (Zeng et al., ICCV 2019) with :math:`\hat p^k_r` one-hot. The MIL scores, which teach the first
    stage, know no background; its confidence is then that of the region's seed, as in OICR.

    Args:
        scores: :math:`p^{k-1}`, (..., R, C + 1), background last; or the MIL scores (..., R, C).
        labels: What the regions are taught, (..., R), int64 in [0, C].
        seed_scores: Score of each region's seed, (..., R).

    Returns:
        (..., R), in [0, 1].
    """
    columns = scores.shape[-1]
    own = scores.gather(-1, labels.clamp(max=columns - 1)[..., None]).squeeze(-1)
    return torch.where(labels < columns, own, seed_scores.to(own))


@torch.no_grad()
def objectness_weights(bottom_up: Tensor, top_down: Tensor, alpha: float) -> Tensor:
    r"""Join both kinds of objectness, eq. 4 of WSOD2.

    .. math::
        w_r = \alpha O_{bu}(r) + (1 - \alpha) O_{td}(r)

    Args:
        bottom_up: What the picture says, (..., R), in [0, 1].
        top_down: What the head says, (..., R), in [0, 1].
        alpha: In [0, 1]; 1 listens to the picture alone.
    """
    return alpha * bottom_up.to(top_down) + (1 - alpha) * top_down


def objectness_decay(progress: float, warmup: float = 0.025) -> float:
    r"""The :math:`\alpha` of eq. 4, which falls in a training of N iterations.

    .. math::
        \alpha(n) = 1 - n / N

    the linear decay, best of those that WSOD2 compares (section 4.2); and 0 for the first
    ``warmup`` of the training (its 2,000 of 80,000 iterations), in which the head learns alone.

    Args:
        progress: n / N, in [0, 1].
        warmup: Share of the training, in [0, 1].
    """
    return 0.0 if progress < warmup else 1.0 - progress


@torch.no_grad()
def regression_references(
    bboxes: Tensor, weights: Tensor, positive: Tensor, iou_thr: float = 0.5
) -> Tensor:
    r"""The box that each region is to move to, eq. 7 of WSOD2.

    .. math::
        \hat r = \arg\max_{m \in M : IoU(m, r) > T_{iou}} w_m

    with M the regions that are taught a class. Memory is that of regions x regions.

    Args:
        bboxes: Regions (N, R, 4).
        weights: (N, R), >= 0.
        positive: Boolean (N, R), true in M.
        iou_thr: In [0, 1].

    Returns:
        (N, R, 4); a region near none of M stays where it is. At equal weights the first counts.
    """
    near = (pairwise_iou(bboxes, bboxes) > iou_thr) & positive[..., None]
    # (N, R as m, R as r)
    best, index = weights[..., None].expand_as(near).masked_fill(~near, -1).max(dim=1)
    found = bboxes.gather(1, index[..., None].expand(-1, -1, 4))
    return torch.where((best >= 0)[..., None], found, bboxes)


def objectness_box_loss(
    deltas: Tensor, targets: Tensor, weights: Tensor, positive: Tensor
) -> Tensor:
    r"""Weighted smooth L1 of the regions that are taught a class, eq. 6 of WSOD2.

    .. math::
        L_{box} = \frac{1}{|R_{pos}|} \sum_{r \in R_{pos}} w_r \,
        \mathrm{smooth}_{L_1}(t_r - \hat t_r)

    summed over the four coordinates; the mean of the images, of which one without a positive has 0.

    Args:
        deltas: :math:`t`, (N, R, 4).
        targets: :math:`\hat t`, (N, R, 4).
        weights: (N, R), >= 0.
        positive: Boolean (N, R), true in :math:`R_{pos}`.

    Returns:
        A scalar, connected to ``deltas`` even when it is 0.
    """
    with no_autocast(deltas):
        deltas = at_least_float32(deltas)
        loss = F.smooth_l1_loss(deltas, targets.detach().to(deltas), reduction='none')
        loss = loss.sum(dim=-1) * weights.detach().to(loss) * positive
        return (loss.sum(dim=1) / positive.sum(dim=1).clamp(min=1)).mean()
