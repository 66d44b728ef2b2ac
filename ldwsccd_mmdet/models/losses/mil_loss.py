"""Multiple-instance learning: which regions make an image show a class."""

import torch
from torch import Tensor

from ...errors import check_argument
from ..utils import at_least_float32, no_autocast

EPS = 1e-6


def mil_scores(
    cls_logits: Tensor, det_logits: Tensor, valid: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Scores of regions and of their image, eq. 15 (the two streams of WSDDN).

    .. math::
        x_{r c} = \mathrm{softmax}_c(x^{cls})_{r c} \cdot \mathrm{softmax}_r(x^{det})_{r c},
        \qquad \mu_c = \sum_r x_{r c}

    The second softmax runs over the regions of ONE image. Leading dimensions are images: a batch is
    padded to the largest number of regions and ``valid`` tells the padding apart. float32 whatever
    the autocast (float64 stays float64).

    Args:
        cls_logits: Classification stream, shape (..., R, C).
        det_logits: Detection stream, shape (..., R, C).
        valid: Boolean (..., R), false for padding; all true by default.

    Returns:
        Region scores (..., R, C), 0 for padding, and image scores (..., C), both in [0, 1].

    Raises:
        ConfigError: If the two streams differ in shape.

    Example:
        Two regions and two classes. The first region shows class 0, and stands out for it.

        >>> cls_logits = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
        >>> det_logits = torch.tensor([[4.0, 0.0], [0.0, 0.0]])
        >>> region, image = mil_scores(cls_logits, det_logits)
        >>> region
        tensor([[0.9354, 0.0237],
                [0.0090, 0.2500]])
        >>> image  # the sum over the regions
        tensor([0.9444, 0.2737])
    """
    check_argument(
        cls_logits.shape == det_logits.shape,
        'mil_scores.det_logits',
        f'the shape of cls_logits (..., R, C) = {tuple(cls_logits.shape)}',
        tuple(det_logits.shape),
    )
    with no_autocast(cls_logits):
        cls_logits, det_logits = at_least_float32(cls_logits), at_least_float32(det_logits)
        # classes before regions: on a CPU a softmax over a short last dimension is ten times slower
        cls_logits, det_logits = cls_logits.transpose(-1, -2), det_logits.transpose(-1, -2)
        if valid is not None:
            # the lowest finite number, not -inf: an image without regions must not become NaN
            lowest = torch.finfo(det_logits.dtype).min
            det_logits = det_logits.masked_fill(~valid[..., None, :], lowest)
        region = cls_logits.softmax(dim=-2) * det_logits.contiguous().softmax(dim=-1)
        if valid is not None:
            region = region * valid[..., None, :]
        return region.transpose(-1, -2), region.sum(dim=-1)


def image_level_loss(image_scores: Tensor, image_labels: Tensor, reduction: str = 'mean') -> Tensor:
    r"""Binary cross-entropy of the image's classes, eq. 15.

    .. math::
        L_{cls} = -\sum_c \big[ y_c \log \mu_c + (1 - y_c) \log(1 - \mu_c) \big]

    Mended against the print, whose second term :math:`(1 - y) (1 - \log \mu)` has no minimum.
    :math:`\mu` is clamped to [1e-6, 1 - 1e-6]; float32 whatever the autocast.

    Args:
        image_scores: :math:`\mu`, shape (..., C), in [0, 1].
        image_labels: :math:`y`, shape (..., C), 1 where the class occurs in the image, else 0.
        reduction: 'mean' or 'sum' over classes (and over leading dimensions), or 'none'.

    Returns:
        A scalar; for 'none' the loss of each class, shape (..., C).

    Raises:
        ConfigError: If the shapes differ or ``reduction`` is unknown.

    Example:
        >>> image_scores = torch.tensor([0.9, 0.2])
        >>> image_labels = torch.tensor([1.0, 0.0])  # class 0 occurs in the image, class 1 does not
        >>> image_level_loss(image_scores, image_labels, reduction='none')
        tensor([0.1054, 0.2231])
    """
    check_argument(
        image_scores.shape == image_labels.shape,
        'image_level_loss.image_labels',
        f'the shape of image_scores (..., C) = {tuple(image_scores.shape)}',
        tuple(image_labels.shape),
    )
    fine = reduction in ('mean', 'sum', 'none')
    check_argument(fine, 'image_level_loss.reduction', "'mean', 'sum' or 'none'", reduction)
    with no_autocast(image_scores):
        image_scores = at_least_float32(image_scores)
        mu = image_scores.clamp(EPS, 1 - EPS)
        y = image_labels.to(mu)
        loss = -(y * mu.log() + (1 - y) * (1 - mu).log())
    if reduction == 'mean':
        return loss.mean()
    return loss.sum() if reduction == 'sum' else loss
