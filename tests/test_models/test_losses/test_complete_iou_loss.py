import math

import pytest
import torch

from ldwsccd_mmdet.models.losses import CompleteIoULoss, complete_iou
from tests.test_models.test_utils.test_diou_nms import boxes, brute_iou_distance


def brute(a, b):
    iou, distance = brute_iou_distance(a, b)
    angle = math.atan((b[2] - b[0]) / (b[3] - b[1])) - math.atan((a[2] - a[0]) / (a[3] - a[1]))
    v = 4 / math.pi**2 * angle**2
    alpha = v / (1 - iou + v) if v else 0.0
    return iou - distance - alpha * v


def test_equation():
    pred, target = boxes(50), boxes(50)
    for value, a, b in zip(
        complete_iou(pred, target).tolist(), pred.tolist(), target.tolist(), strict=True
    ):
        assert value == pytest.approx(brute(a, b), abs=1e-4)


def test_equal_boxes_have_loss_zero_and_a_finite_gradient():
    """mmdet's CIoULoss is NaN here."""
    pred = boxes(5).requires_grad_()
    loss = CompleteIoULoss()(pred, pred.detach().clone())
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(pred.grad).all()


def test_boxes_without_an_area_have_a_finite_gradient():
    pred = torch.tensor([[3.0, 3, 3, 3], [1, 1, 5, 1]], requires_grad=True)
    target = torch.tensor([[3.0, 3, 3, 3], [1, 1, 1, 4]])
    loss = CompleteIoULoss()(pred, target)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(pred.grad).all()


def test_weight_and_average():
    pred, target = boxes(4), boxes(4)
    each = 1 - complete_iou(pred, target)
    weight = torch.tensor([1.0, 0, 0.5, 2])
    loss = CompleteIoULoss(loss_weight=3.0)(pred, target, weight, avg_factor=7.0)
    torch.testing.assert_close(loss, 3 * (each * weight).sum() / 7)
    torch.testing.assert_close(CompleteIoULoss()(pred, target), each.mean())


def test_no_box_stays_connected():
    pred = torch.zeros(0, 4, requires_grad=True)
    loss = CompleteIoULoss()(pred, torch.zeros(0, 4))
    loss.backward()
    assert loss.item() == 0 and pred.grad is not None


def test_gradient():
    pred, target = boxes(4).double(), boxes(4).double()
    # alpha is a constant in the gradient: without it the loss is differentiable throughout
    pred[:, 2:] = pred[:, :2] + target[:, 2:] - target[:, :2]
    pred.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: complete_iou(p, target), (pred,), atol=1e-3)
