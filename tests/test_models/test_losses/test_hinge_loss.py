import pytest
import torch

from ldwsccd_mmdet.models.losses import HingeLoss


def test_equals_the_loop():
    torch.manual_seed(0)
    margins, labels, weights = torch.randn(6, 3), torch.tensor([0, 1, 2, 3, 3, 0]), torch.rand(6)
    total = 0.0
    for r in range(6):
        for c in range(3):
            sign = 1 if labels[r] == c else -1
            total += weights[r].item() * max(0.0, 1 - sign * margins[r, c].item())
    loss = HingeLoss(loss_weight=2.0)
    assert loss(margins, labels, weights).item() == pytest.approx(2 * total / 6, rel=1e-5)
    assert loss(margins, labels, weights, avg_factor=4).item() == pytest.approx(total / 2, rel=1e-5)
    each = loss(margins, labels, weights, reduction_override='none')
    assert each.shape == (6,) and each.sum().item() == pytest.approx(2 * total, rel=1e-5)


def test_right_by_a_margin_of_1_costs_nothing():
    margins = torch.tensor([[1.0, -1.0], [-2.0, -1.5]], requires_grad=True)
    loss = HingeLoss()(margins, torch.tensor([0, 2]))
    assert loss.item() == 0 and loss.requires_grad


def test_no_region_is_connected():
    margins = torch.zeros(0, 3, requires_grad=True)
    loss = HingeLoss()(margins, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and margins.grad.shape == (0, 3)


def test_gradcheck():
    torch.manual_seed(0)
    margins = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda m: HingeLoss()(m, torch.tensor([0, 1, 2, 1])), (margins,)
    )


def test_scores_keep_the_order_and_know_no_background():
    margins = torch.tensor([[-3.0, 2.0], [0.0, 5.0]])
    scores = HingeLoss().get_activation(margins)
    assert scores.shape == (2, 3) and not scores[:, -1].any()
    assert torch.equal(scores[:, :2].flatten().argsort(), margins.flatten().argsort())
    assert HingeLoss().get_cls_channels(7) == 7
