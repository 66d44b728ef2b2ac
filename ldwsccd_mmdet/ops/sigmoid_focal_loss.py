"""Sigmoid focal loss in plain torch, which mmdet asks mmcv for on a GPU (RetinaNet)."""

import torch
from torch import Tensor


@torch.no_grad()
def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``output``, as ``mmcv._ext`` does (Lin et al., ICCV 2017, eq. 5).

        -alpha (1 - p)^gamma log p           for the target's class
        -(1 - alpha) p^gamma log(1 - p)      for the others

    times ``weight[target]``, where weights are given.

    Args:
        input: (N, C) logits.
        target: (N,) int64; C stands for the background.
        weight: (C,), or empty.
        output: (N, C), written.
        gamma: Exponent.
        alpha: Share of the target's class, in [0, 1].
    """
    p, is_target, tiny = _parts(input, target)
    positive = (1 - p).pow(gamma) * p.clamp(min=tiny).log()
    negative = p.pow(gamma) * (1 - p).clamp(min=tiny).log()
    loss = -torch.where(is_target, alpha * positive, (1 - alpha) * negative)
    output.copy_(_weighted(loss, target, weight))


@torch.no_grad()
def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``grad_input`` (N, C) with the derivative of each loss by its own logit.

    Arguments are those of :func:`sigmoid_focal_loss_forward`.
    """
    p, is_target, tiny = _parts(input, target)
    q = 1 - p
    positive = q.pow(gamma) * (q - gamma * p * p.clamp(min=tiny).log())
    negative = p.pow(gamma) * (gamma * q * q.clamp(min=tiny).log() - p)
    grad = -torch.where(is_target, alpha * positive, (1 - alpha) * negative)
    grad_input.copy_(_weighted(grad, target, weight))


def _parts(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
    """Probabilities (N, C) in at least float32, which are the target's, and the least for a log."""
    p = input.to(torch.promote_types(input.dtype, torch.float32)).sigmoid()
    classes = torch.arange(input.size(1), device=input.device)
    return p, target[:, None] == classes, torch.finfo(torch.float32).tiny


def _weighted(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if not weight.numel():
        return values
    return values * weight[target.clamp(max=len(weight) - 1)][:, None]
