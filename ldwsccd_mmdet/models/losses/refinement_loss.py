"""Online instance classifier refinement: each stage teaches the next."""

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor


def refinement_targets(
    bboxes: Tensor,
    scores: Tensor,
    image_labels: Tensor,
    fg_iou: float = 0.5,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Labels and weights of regions from the scores of the stage before, eq. 16.

    For each class present, in ascending class order, the region with the highest score is the
    class's seed; its row of scores is then set to 0, so that no later class can claim it. Every
    region takes the class of the seed that it overlaps most if that IoU is at least ``fg_iou``,
    else background (label C), and in both cases the seed's score as its weight (Tang et al., OICR,
    CVPR 2017). Without a class present all labels are background and all weights 0.

    Nothing here carries a gradient. Leading dimensions are images; the only loop is over classes.

    Args:
        bboxes: Regions (..., R, 4), x1, y1, x2, y2, in pixels of any one frame.
        scores: Scores of the stage before, (..., R, >= C); columns from C on (background) are
            not looked at.
        image_labels: (..., C), > 0 where the class occurs.
        fg_iou: IoU from which on a region belongs to a seed, in [0, 1].
        valid: Boolean (..., R), false for padding; all true by default.

    Returns:
        Labels (..., R), int64 in [0, C], and weights (..., R) of the scores' float type, >= 0.
        Padding gets label C and weight 0.

    Raises:
        ValueError: If ``fg_iou`` is outside [0, 1] or the shapes do not fit.
    """
    if not 0 <= fg_iou <= 1:
        raise ValueError(f'refinement_targets: fg_iou must be in [0, 1], got {fg_iou}')
    num_classes = image_labels.shape[-1]
    if scores.shape[:-1] != bboxes.shape[:-1] or scores.shape[-1] < num_classes:
        raise ValueError(
            f'refinement_targets: bboxes {tuple(bboxes.shape)} and scores {tuple(scores.shape)} '
            f'must agree in all but the last dimension, and scores need at least C = {num_classes} '
            'columns'
        )
    single = bboxes.dim() == 2
    if single:
        bboxes, scores, image_labels = bboxes[None], scores[None], image_labels[None]
        valid = None if valid is None else valid[None]
    with torch.no_grad():
        dtype = torch.float64 if scores.dtype == torch.float64 else torch.float32
        remaining = scores[..., :num_classes].detach().to(dtype, copy=True)
        bboxes = bboxes.detach().to(dtype)
        num_images, num_regions = bboxes.shape[:2]
        if num_regions == 0:
            labels = bboxes.new_zeros((num_images, 0), dtype=torch.long)
            weights = bboxes.new_zeros((num_images, 0))
        else:
            if valid is not None:
                remaining.masked_fill_(~valid[..., None], -1)
            present = image_labels > 0
            image = torch.arange(num_images, device=bboxes.device)
            seeds, seed_scores = [], []
            for class_index in range(num_classes):
                best, seed = remaining[..., class_index].max(dim=-1)
                seeds.append(seed)
                seed_scores.append(best.clamp(min=0))
                claimed = remaining[image, seed]
                remaining[image, seed] = torch.where(
                    present[:, class_index, None], torch.zeros_like(claimed), claimed
                )
            seed = torch.stack(seeds, dim=1)
            seed_score = torch.stack(seed_scores, dim=1)
            iou = bbox_overlaps(bboxes, bboxes[image[:, None], seed])
            iou = iou.masked_fill(~present[:, None, :], -1)
            best_iou, labels = iou.max(dim=-1)
            weights = seed_score.gather(1, labels).masked_fill(best_iou < 0, 0)
            # without a class present the IoU is -1, below even a fg_iou of 0
            labels = labels.masked_fill(best_iou < fg_iou, num_classes)
            if valid is not None:
                labels = labels.masked_fill(~valid, num_classes)
                weights = weights.masked_fill(~valid, 0)
    return (labels[0], weights[0]) if single else (labels, weights)


def refinement_loss(
    logits: Tensor, labels: Tensor, weights: Tensor, valid: Tensor | None = None
) -> Tensor:
    r"""Weighted cross-entropy of one refinement stage, eq. 16.

    .. math::
        L_{ref} = -\frac{1}{|R|} \sum_r w_r \log \mathrm{softmax}(x_r)_{y_r}

    :math:`|R|` counts all regions of the image, whatever their weight. Leading dimensions are
    images, over which the mean is taken. float32 whatever the autocast.

    Args:
        logits: (..., R, C + 1); the last column is background.
        labels: (..., R), int64 in [0, C].
        weights: (..., R), >= 0.
        valid: Boolean (..., R), false for padding, which neither adds nor counts.

    Returns:
        A scalar, connected to ``logits`` even when it is 0.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if not logits.shape[:-1] == labels.shape == weights.shape:
        raise ValueError(
            f'refinement_loss: logits {tuple(logits.shape)} need labels and weights of shape '
            f'{tuple(logits.shape[:-1])}, got {tuple(labels.shape)} and {tuple(weights.shape)}'
        )
    with torch.autocast(device_type=logits.device.type, enabled=False):
        if logits.dtype != torch.float64:
            logits = logits.float()
        log_prob = logits.log_softmax(dim=-1).gather(-1, labels[..., None])[..., 0]
        weights = weights.detach().to(log_prob)
        if valid is None:
            count = log_prob.new_full(log_prob.shape[:-1], max(log_prob.shape[-1], 1))
        else:
            weights = weights * valid
            count = valid.sum(dim=-1).clamp(min=1)
        return (-(weights * log_prob).sum(dim=-1) / count).mean()
