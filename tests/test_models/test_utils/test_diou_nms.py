import math

import pytest
import torch

from ldwsccd_mmdet.models.utils import diou_nms, iou_and_distance


def brute_iou_distance(a, b):
    inter = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    rho = math.dist(((a[0] + a[2]) / 2, (a[1] + a[3]) / 2), ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2))
    c = math.dist((min(a[0], b[0]), min(a[1], b[1])), (max(a[2], b[2]), max(a[3], b[3])))
    return inter / union, (rho / c) ** 2


def brute_nms(bboxes, scores, labels, threshold, beta):
    """The greedy loop."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    kept = []
    for i in order:
        for j in kept:
            iou, distance = brute_iou_distance(bboxes[i], bboxes[j])
            if labels[i] == labels[j] and iou - distance**beta > threshold:
                break
        else:
            kept.append(i)
    return kept


def boxes(n):
    corner = torch.rand(n, 2) * 60
    return torch.cat([corner, corner + 5 + torch.rand(n, 2) * 40], dim=1)


def test_iou_and_distance():
    a, b = boxes(20), boxes(20)
    iou, distance = iou_and_distance(a[:, None], b[None])
    for i in range(20):
        for j in range(20):
            expected = brute_iou_distance(a[i].tolist(), b[j].tolist())
            assert iou[i, j].item() == pytest.approx(expected[0], abs=1e-5)
            assert distance[i, j].item() == pytest.approx(expected[1], abs=1e-5)


@pytest.mark.parametrize('beta', [1.0, 0.6])
@pytest.mark.parametrize('threshold', [0.2, 0.45])
def test_equals_the_greedy_loop(beta, threshold):
    bboxes, scores, labels = boxes(120), torch.rand(120), torch.randint(3, (120,))
    kept = diou_nms(bboxes, scores, labels, threshold, beta)
    args = (bboxes.tolist(), scores.tolist(), labels.tolist())
    assert kept.tolist() == brute_nms(*args, threshold, beta)
    assert 0 < len(kept) < 120


def test_spares_a_neighbour_that_greedy_iou_would_drop():
    bboxes = torch.tensor([[0.0, 0, 20, 20], [6, 0, 26, 20]])  # IoU 0.54, centres apart
    scores, labels = torch.tensor([0.9, 0.8]), torch.zeros(2)
    assert diou_nms(bboxes, scores, labels, 0.5).tolist() == [0, 1]
    assert diou_nms(bboxes, scores, labels, 0.3).tolist() == [0]
    assert diou_nms(bboxes, scores, torch.tensor([0, 1]), 0.3).tolist() == [0, 1]


def test_no_box():
    empty = torch.zeros(0)
    assert diou_nms(empty.view(0, 4), empty, empty).tolist() == []
