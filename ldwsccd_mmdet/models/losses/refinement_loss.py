"""Online instance classifier refinement: each stage teaches the next."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import check_argument
from ..task_modules.seeds import Seeds, TopSeeds
from ..utils import at_least_float32, float_dtype, no_autocast, pairwise_iou


class SeedMatch(NamedTuple):
    """What each region of a batch learns.

    Attributes:
        labels: (N, R), int64 in [0, C], C is background.
        weights: (N, R), >= 0.
        bboxes: (N, R, 4), the seed that the region overlaps most.
        seeds: (N, R), int64, which of the image's seeds that is.
        probs: (N, R), the probability that the label holds, else the region is background; None if
            no label is in doubt.
    """

    labels: Tensor
    weights: Tensor
    bboxes: Tensor
    seeds: Tensor
    probs: Tensor | None = None

    @property
    def expected_weights(self) -> Tensor:
        """Weights (N, R) of what only a region of the label learns, such as its box."""
        return self.weights if self.probs is None else self.weights * self.probs


@torch.no_grad()
def match_seeds(
    bboxes: Tensor,
    seeds: Seeds,
    num_classes: int,
    fg_iou: float = 0.5,
    ignore_iou: float = 0.0,
    valid: Tensor | None = None,
) -> SeedMatch:
    """Give each region the seed that it overlaps most, eq. 16.

    Its label is the seed's class where the IoU is at least ``fg_iou``, else background; its weight
    is the seed's score in both cases, and 0 where the IoU is below ``ignore_iou``. At equal IoU the
    first seed counts. Memory is that of regions x seeds.

    Seeds in doubt come last: they take the regions that are background otherwise, from ``fg_iou``
    on, and neither silence nor weigh any other region.

    Args:
        bboxes: Regions (N, R, 4).
        seeds: Seeds of the same images.
        num_classes: C, the label of background.
        fg_iou: In [0, 1].
        ignore_iou: In [0, 1]; 0 ignores no region.
        valid: Boolean (N, R), false for padding, which gets label C and weight 0.
    """
    iou = pairwise_iou(bboxes, seeds.bboxes).masked_fill_(~seeds.valid[..., None], -1)
    sure = iou if seeds.probs is None else iou.masked_fill((seeds.probs < 1)[..., None], -1)
    best, seed = sure.max(dim=1)
    # without a class present the IoU is -1, below even a fg_iou of 0
    labels = seeds.labels.gather(1, seed).masked_fill_(best < fg_iou, num_classes)
    weights = seeds.scores.gather(1, seed).masked_fill_(best < max(ignore_iou, 0), 0)
    probs = None
    if seeds.probs is not None:
        best, maybe = iou.masked_fill((seeds.probs >= 1)[..., None], -1).max(dim=1)
        takes = (labels == num_classes) & (best >= fg_iou) & (best >= 0)
        seed = torch.where(takes, maybe, seed)
        labels = torch.where(takes, seeds.labels.gather(1, maybe), labels)
        weights = torch.where(takes, seeds.scores.gather(1, maybe), weights)
        probs = torch.where(takes, seeds.probs.gather(1, maybe), 1.0).to(weights)
    if valid is not None:
        labels.masked_fill_(~valid, num_classes)
        weights.masked_fill_(~valid, 0)
    own = seeds.bboxes.gather(1, seed[..., None].expand(-1, -1, 4))
    return SeedMatch(labels, weights, own, seed, probs)


def refinement_targets(
    bboxes: Tensor,
    scores: Tensor,
    image_labels: Tensor,
    fg_iou: float = 0.5,
    valid: Tensor | None = None,
    ignore_iou: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Labels and weights of regions from the scores of the stage before, eq. 16.

    For each class present, in ascending class order, the region with the highest score is the
    class's seed (:class:`TopSeeds`); its row of scores is then set to 0, so that no later class can
    claim it. Every region takes the class of the seed that it overlaps most if that IoU is at least
    ``fg_iou``, else background (label C), and in both cases the seed's score as its weight (Tang et
    al., OICR, CVPR 2017). Without a class present all labels are background and all weights 0.

    Nothing here carries a gradient. Leading dimensions are images; the only loop is over classes.
    Training takes the same two steps, seeds and :func:`match_seeds`, one by one, so that boxes may
    be seeds too; the tests hold :class:`MILRefinementHead` to this function where none are.

    Args:
        bboxes: Regions (..., R, 4), x1, y1, x2, y2, in pixels of any one frame.
        scores: Scores of the stage before, (..., R, >= C); columns from C on (background) are
            not looked at.
        image_labels: (..., C), > 0 where the class occurs.
        fg_iou: IoU from which on a region belongs to a seed, in [0, 1].
        valid: Boolean (..., R), false for padding; all true by default.
        ignore_iou: Regions whose IoU with every seed is below this get the weight 0, in [0, 1]. 0
            (default) ignores none, as eq. 16 prints it; 0.1 is PCL's (Tang et al., TPAMI 2018).

    Returns:
        Labels (..., R), int64 in [0, C], and weights (..., R) of the scores' float type, >= 0.
        Padding gets label C and weight 0.

    Raises:
        ConfigError: If an IoU is outside [0, 1] or the shapes do not fit.

    Example:
        The first region is the seed of class 0, the second overlaps it, the third lies elsewhere.

        >>> bboxes = torch.tensor([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]])
        >>> scores = torch.tensor([[0.8, 0.1], [0.3, 0.1], [0.1, 0.2]])
        >>> labels, weights = refinement_targets(bboxes, scores, image_labels=torch.tensor([1, 0]))
        >>> labels  # 2 is background
        tensor([0, 0, 2])
        >>> weights  # the seed's score, for all three
        tensor([0.8000, 0.8000, 0.8000])
    """
    for name, value in (('fg_iou', fg_iou), ('ignore_iou', ignore_iou)):
        fine = 0 <= value <= 1
        check_argument(fine, f'refinement_targets.{name}', 'a number in [0, 1]', value)
    num_classes = image_labels.shape[-1]
    check_argument(
        scores.shape[:-1] == bboxes.shape[:-1] and scores.shape[-1] >= num_classes,
        'refinement_targets.scores',
        f'the shape of bboxes {tuple(bboxes.shape)} in all but the last dimension, and at least '
        f'C = {num_classes} columns',
        tuple(scores.shape),
    )
    dtype = float_dtype(scores)
    if scores.numel() == 0:
        labels = scores.new_zeros(scores.shape[:-1], dtype=torch.long)
        return labels, scores.new_zeros(scores.shape[:-1], dtype=dtype)
    single = bboxes.dim() == 2
    if single:
        bboxes, scores, image_labels = bboxes[None], scores[None], image_labels[None]
        valid = None if valid is None else valid[None]
    bboxes, scores = bboxes.detach().to(dtype), scores.detach().to(dtype)
    seeds = TopSeeds()(bboxes, scores, image_labels > 0, valid)
    match = match_seeds(bboxes, seeds, num_classes, fg_iou, ignore_iou, valid)
    labels, weights = match.labels, match.weights
    return (labels[0], weights[0]) if single else (labels, weights)


def refinement_loss(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    valid: Tensor | None = None,
    probs: Tensor | None = None,
) -> Tensor:
    r"""Weighted cross-entropy of one refinement stage, eq. 16.

    .. math::
        L_{ref} = -\frac{1}{|R|} \sum_r w_r \log \mathrm{softmax}(x_r)_{y_r}

    A region whose label holds with probability :math:`p_r` only, and which is background (bg)
    otherwise, has its expected loss in place of the logarithm,

    .. math::
        p_r \log \mathrm{softmax}(x_r)_{y_r} + (1 - p_r) \log \mathrm{softmax}(x_r)_{bg}

    That is not in the paper. :math:`|R|` counts all regions of the image, whatever their weight.
    Leading dimensions are images, over which the mean is taken. float32 whatever the autocast.

    Args:
        logits: (..., R, C + 1); the last column is background.
        labels: (..., R), int64 in [0, C].
        weights: (..., R), >= 0.
        valid: Boolean (..., R), false for padding, which neither adds nor counts.
        probs: (..., R), in [0, 1]; None for 1.

    Returns:
        A scalar, connected to ``logits`` even when it is 0.

    Raises:
        ConfigError: If the shapes do not fit.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 2.0]])  # two classes, background
        >>> labels, weights = torch.tensor([0, 2]), torch.tensor([1.0, 0.5])
        >>> refinement_loss(logits, labels, weights)  # (1 + 0.5) * 0.2395 / 2
        tensor(0.1797)
    """
    check_argument(
        logits.shape[:-1] == labels.shape == weights.shape,
        'refinement_loss.labels and weights',
        f'the shape {tuple(logits.shape[:-1])}, as logits have {tuple(logits.shape)}',
        (tuple(labels.shape), tuple(weights.shape)),
    )
    with no_autocast(logits):
        logits = at_least_float32(logits)
        # classes before regions: on a CPU a softmax over a short last dimension is ten times slower
        logits = logits.movedim(-1, 0).flatten(1).contiguous()[None]
        if probs is None:
            loss = F.cross_entropy(logits, labels.flatten()[None], reduction='none')
        else:
            log_probs = logits[0].log_softmax(dim=0)
            own = log_probs.gather(0, labels.flatten()[None])
            loss = -torch.lerp(log_probs[-1:], own, probs.flatten().detach().to(own))
        return _mean_of_images(loss.view(labels.shape) * weights.detach().to(loss), valid)


def box_refinement_loss(
    deltas: Tensor,
    targets: Tensor,
    labels: Tensor,
    weights: Tensor,
    valid: Tensor | None = None,
    beta: float = 1.0,
) -> Tensor:
    r"""Weighted smooth L1 of one refinement stage's boxes.

    .. math::
        L_{box} = \frac{1}{|R|} \sum_{r: y_r < C} w_r \, \mathrm{smooth}_{L_1}(t_r - t^*_r)

    Not in the paper: the regression towards the seed's box of Yang et al. (ICCV 2019) and Ren et
    al. (MIST, CVPR 2020), summed over the four coordinates and weighed as :func:`refinement_loss`.

    Args:
        deltas: :math:`t`, (..., R, 4) or, one box a class, (..., R, 4 C).
        targets: :math:`t^*`, the encoded seed of each region, (..., R, 4), looked at where the
            label is below C.
        labels: (..., R), int64 in [0, C].
        weights: (..., R), >= 0; those of background are not looked at: give 0 for it.
        valid: Boolean (..., R), false for padding, which neither adds nor counts.
        beta: Error from which on the loss is linear, > 0.

    Returns:
        A scalar, connected to ``deltas`` even when it is 0.
    """
    with no_autocast(deltas):
        deltas = at_least_float32(deltas)
        if deltas.shape[-1] > 4:
            per_class = deltas.unflatten(-1, (-1, 4))
            own = labels.clamp(max=per_class.shape[-2] - 1)[..., None, None]
            deltas = per_class.gather(-2, own.expand(*labels.shape, 1, 4)).squeeze(-2)
        loss = F.smooth_l1_loss(deltas, targets.detach().to(deltas), reduction='none', beta=beta)
        return _mean_of_images(loss.sum(dim=-1) * weights.detach().to(loss), valid)


def _mean_of_images(loss: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over images of the sum (..., R) over regions, divided by their number."""
    if valid is None:
        return (loss.sum(dim=-1) / max(loss.shape[-1], 1)).mean()
    return ((loss * valid).sum(dim=-1) / valid.sum(dim=-1).clamp(min=1)).mean()
