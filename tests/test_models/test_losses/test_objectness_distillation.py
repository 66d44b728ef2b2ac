"""WSOD2's equations against loops over regions."""

import math

import pytest
import torch

from ldwsccd_mmdet.models.losses import (
    objectness_box_loss,
    objectness_decay,
    objectness_weights,
    regression_references,
    top_down_confidence,
)


def iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def regions(n, r, size=20.0):
    corner = torch.rand(n, r, 2) * size
    return torch.cat([corner, corner + 5 + torch.rand(n, r, 2) * size], dim=-1)


def test_eq_5_is_a_sum_over_a_one_hot_label():
    torch.manual_seed(0)
    scores, labels = torch.rand(2, 5, 4), torch.randint(0, 4, (2, 5))
    found = top_down_confidence(scores, labels, torch.rand(2, 5))
    for n in range(2):
        for r in range(5):
            hot = [float(c == labels[n, r]) for c in range(4)]
            expected = sum(scores[n, r, c].item() * hot[c] for c in range(4))
            assert found[n, r].item() == pytest.approx(expected)


def test_eq_5_of_background_in_the_first_stage_is_the_seeds():
    scores, labels = torch.tensor([[0.3, 0.1], [0.2, 0.6]]), torch.tensor([0, 2])
    found = top_down_confidence(scores, labels, torch.tensor([0.9, 0.7]))
    torch.testing.assert_close(found, torch.tensor([0.3, 0.7]))


def test_eq_4_and_its_ends():
    up, down = torch.rand(2, 6), torch.rand(2, 6)
    joined = objectness_weights(up, down, 0.25)
    for n in range(2):
        for r in range(6):
            expected = 0.25 * up[n, r].item() + 0.75 * down[n, r].item()
            assert joined[n, r].item() == pytest.approx(expected)
    assert torch.equal(objectness_weights(up, down, 1.0), up)
    assert torch.equal(objectness_weights(up, down, 0.0), down)


def test_alpha_falls_from_one_to_nothing_after_the_warm_up():
    assert [objectness_decay(n / 8, 0.25) for n in range(9)] == [
        0,
        0,
        0.75,
        0.625,
        0.5,
        0.375,
        0.25,
        0.125,
        0,
    ]
    assert objectness_decay(0.0, 0.0) == 1


def test_eq_7_equals_a_loop():
    torch.manual_seed(0)
    boxes, weights = regions(2, 12), torch.rand(2, 12)
    positive = torch.rand(2, 12) > 0.4
    found = regression_references(boxes, weights, positive, 0.3)
    moved = 0
    for n in range(2):
        for r in range(12):
            best, expected = -1.0, boxes[n, r]
            for m in range(12):
                near = positive[n, m] and iou(boxes[n, m].tolist(), boxes[n, r].tolist()) > 0.3
                if near and weights[n, m] > best:
                    best, expected = weights[n, m].item(), boxes[n, m]
            assert torch.equal(found[n, r], expected)
            moved += not torch.equal(expected, boxes[n, r])
    assert moved > 3  # else the loop proved nothing


def test_eq_7_without_positives_moves_nothing():
    boxes = regions(1, 3)
    none = torch.zeros(1, 3, dtype=torch.bool)
    assert torch.equal(regression_references(boxes, torch.ones(1, 3), none), boxes)


def test_eq_6_equals_a_loop():
    torch.manual_seed(0)
    deltas, targets = torch.randn(3, 5, 4) * 2, torch.randn(3, 5, 4)
    weights, positive = torch.rand(3, 5), torch.rand(3, 5) > 0.5
    positive[2] = False
    total = 0.0
    for n in range(3):
        of_image, count = 0.0, 0
        for r in range(5):
            if not positive[n, r]:
                continue
            count += 1
            for i in range(4):
                error = abs((deltas[n, r, i] - targets[n, r, i]).item())
                smooth = 0.5 * error**2 if error < 1 else error - 0.5
                of_image += weights[n, r].item() * smooth
        total += of_image / max(count, 1)
    found = objectness_box_loss(deltas, targets, weights, positive)
    assert found.item() == pytest.approx(total / 3, rel=1e-5)


def test_eq_6_without_positives_is_connected():
    deltas = torch.randn(1, 2, 4, requires_grad=True)
    none = torch.zeros(1, 2, dtype=torch.bool)
    loss = objectness_box_loss(deltas, deltas.detach(), torch.ones(1, 2), none)
    assert loss.item() == 0
    loss.backward()
    assert deltas.grad is not None


def test_eq_6_gradcheck():
    torch.manual_seed(0)
    deltas = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    targets, weights = torch.randn(2, 3, 4).double(), torch.rand(2, 3).double()
    positive = torch.tensor([[True, False, True], [False, True, False]])
    assert torch.autograd.gradcheck(
        lambda d: objectness_box_loss(d, targets, weights, positive), (deltas,)
    )
    assert math.isfinite(objectness_box_loss(deltas, targets, weights, positive).item())
