import pytest
import torch
from torch.nn import functional as F

from ldwsccd_mmdet.ops.sigmoid_focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
)


def focal_loss(logits, target, weight, gamma, alpha):
    """Lin et al., eq. 5, by cross-entropy."""
    one_hot = F.one_hot(target, logits.size(1) + 1)[:, :-1].to(logits)
    p_t = torch.where(one_hot > 0, logits.sigmoid(), 1 - logits.sigmoid())
    alpha_t = torch.where(one_hot > 0, alpha, 1 - alpha)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, one_hot, reduction='none')
    loss = alpha_t * (1 - p_t) ** gamma * cross_entropy
    return loss if weight is None else loss * weight[target][:, None]


@pytest.mark.parametrize('gamma', [0.0, 1.5, 2.0])
@pytest.mark.parametrize('weighted', [False, True])
def test_as_its_formula(gamma, weighted):
    logits = (torch.randn(20, 4, dtype=torch.float64) * 3).requires_grad_()
    target = torch.randint(4 if weighted else 5, (20,))  # 4: background
    weight = torch.rand(4, dtype=torch.float64) if weighted else None
    given = logits.new_empty(0) if weight is None else weight
    loss, grad = torch.zeros_like(logits), torch.zeros_like(logits)
    sigmoid_focal_loss_forward(logits, target, given, loss, gamma=gamma, alpha=0.25)
    sigmoid_focal_loss_backward(logits, target, given, grad, gamma=gamma, alpha=0.25)

    expected = focal_loss(logits, target, weight, gamma, 0.25)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0])


def test_half_and_sure_logits_stay_finite():
    logits = torch.tensor([[60.0, -60.0]], dtype=torch.float16)
    loss, grad = torch.zeros_like(logits), torch.zeros_like(logits)
    target, none = torch.tensor([1]), logits.new_empty(0)
    sigmoid_focal_loss_forward(logits, target, none, loss, gamma=2.0, alpha=0.25)
    sigmoid_focal_loss_backward(logits, target, none, grad, gamma=2.0, alpha=0.25)
    assert loss.isfinite().all() and grad.isfinite().all() and (loss > 10).all()


def test_no_row():
    loss = torch.zeros(0, 3)
    empty = torch.empty(0, dtype=torch.long)
    sigmoid_focal_loss_forward(loss, empty, torch.empty(0), loss, gamma=2.0, alpha=0.25)
    assert loss.shape == (0, 3)
