import math

import numpy as np
import pytest
import torch

from ldwsccd_mmdet.ops.soft_nms import softnms
from tests.test_ops.boxes import clustered_boxes


def soft_loop(boxes, scores, iou_threshold, sigma, min_score, method, offset):
    """The loop of mmcv's nms.cpp: swaps, and the last box in place of a dropped one."""
    one, threshold = np.float32(offset), np.float32(iou_threshold)
    items = [[*box, score, i] for i, (box, score) in enumerate(zip(boxes, scores, strict=True))]

    def area(item):
        return (item[2] - item[0] + one) * (item[3] - item[1] + one)

    i = 0
    while i < len(items):
        best = max(range(i, len(items)), key=lambda k: (items[k][4], -k))
        items[i], items[best] = items[best], items[i]
        k = i + 1
        while k < len(items):
            a, b = items[i], items[k]
            width = max(np.float32(0), min(a[2], b[2]) - max(a[0], b[0]) + one)
            height = max(np.float32(0), min(a[3], b[3]) - max(a[1], b[1]) + one)
            iou = width * height / (area(a) + area(b) - width * height)
            weight = np.float32(1)
            if method == 2:
                weight = np.float32(math.exp(-(iou * iou) / np.float32(sigma)))
            elif iou >= threshold:
                weight = 1 - iou if method == 1 else np.float32(0)
            b[4] = b[4] * weight
            if b[4] < np.float32(min_score):
                items[k] = items[-1]
                items.pop()
            else:
                k += 1
        i += 1
    return np.array([item[:5] for item in items], np.float32), [item[5] for item in items]


def run(operator, boxes, scores, **options):
    dets = boxes.new_zeros(len(boxes), 5)
    kept = operator(boxes.clone(), scores.clone(), dets, **options)
    return dets[: len(kept)], kept


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('min_score', [0.001, 0.3])
@pytest.mark.parametrize('method', [0, 1, 2])
def test_as_a_loop(method, min_score, offset):
    options = dict(iou_threshold=0.3, sigma=0.5, min_score=min_score, method=method, offset=offset)
    boxes, scores = clustered_boxes(60, 5)
    boxes[10:14] = boxes[10]
    scores = (scores * 10).round() / 10
    dets, kept = run(softnms, boxes, scores, **options)
    expected, order = soft_loop(boxes.numpy(), scores.numpy(), **options)
    assert kept.tolist() == order
    np.testing.assert_allclose(dets, expected, rtol=1e-6)


def test_no_box():
    dets, kept = run(
        softnms,
        torch.empty(0, 4),
        torch.empty(0),
        iou_threshold=0.3,
        sigma=0.5,
        min_score=0.1,
        method=1,
        offset=0,
    )
    assert dets.shape == (0, 5) and kept.dtype == torch.long


@pytest.mark.parametrize('method', [0, 1, 2])
def test_parity_with_compiled(compiled, method):
    options = dict(iou_threshold=0.3, sigma=0.5, min_score=0.01, method=method, offset=0)
    boxes, scores = clustered_boxes(1000, 40)
    scores = (scores * 100).round() / 100
    dets, kept = run(softnms, boxes, scores, **options)
    expected, order = run(compiled.softnms, boxes, scores, **options)
    assert torch.equal(kept, order)
    torch.testing.assert_close(dets, expected, rtol=1e-6, atol=1e-7)
