import numpy as np
import pytest
import torch

from ldwsccd_mmdet.ops.nms import BLOCK, nms
from tests.test_ops.boxes import clustered_boxes

NASTY = {
    'one': [[0, 0, 10, 10]],
    'equal': [[0, 0, 10, 10]] * 5,
    'no area': [[5, 5, 5, 5], [5, 5, 5, 5], [5, 5, 5, 9], [0, 0, 10, 10]],
    'negative size': [[9, 9, 1, 1], [1, 1, 9, 9], [9, 1, 1, 9]],
    'at the threshold': [[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 3], [0, 0, 10, 7]],
    'infinite': [[0, 0, np.inf, np.inf], [0, 0, 10, 10], [-np.inf, 0, 10, 10]],
    'not a number': [[0, 0, np.nan, 10], [0, 0, 10, 10], [0, 0, 10, 10]],
    'chain': [[4 * i, 0, 4 * i + 10, 10] for i in range(40)],
}


def greedy_loop(boxes, scores, iou_threshold, offset):
    """The loop of mmcv's nms.cpp, one float32 operation after the other."""
    with np.errstate(all='ignore'):
        one, threshold = np.float32(offset), np.float32(iou_threshold)
        x1, y1, x2, y2 = boxes.float().numpy().T
        area = (x2 - x1 + one) * (y2 - y1 + one)
        order = scores.sort(0, descending=True)[1].tolist()
        stays = dict.fromkeys(order, True)
        for place, i in enumerate(order):
            for j in order[place + 1 :] if stays[i] else ():
                width = max(np.float32(0), min(x2[i], x2[j]) - max(x1[i], x1[j]) + one)
                height = max(np.float32(0), min(y2[i], y2[j]) - max(y1[i], y1[j]) + one)
                shared = width * height
                if shared / (area[i] + area[j] - shared) > threshold:
                    stays[j] = False
    return [i for i in order if stays[i]]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('iou_threshold', [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize('case', NASTY)
def test_nasty_boxes_as_a_loop(no_torchvision, case, iou_threshold, offset):
    boxes = torch.tensor(NASTY[case], dtype=torch.float32)
    for scores in (torch.rand(len(boxes)), torch.full((len(boxes),), 0.5)):
        kept = nms(boxes, scores, iou_threshold=iou_threshold, offset=offset)
        assert kept.tolist() == greedy_loop(boxes, scores, iou_threshold, offset)


@pytest.mark.parametrize('num_objects', [1, 4, 60])
def test_many_boxes_as_a_loop(no_torchvision, num_objects):
    """More than one block, with scores that are often equal."""
    boxes, scores = clustered_boxes(BLOCK + 140, num_objects)
    scores = (scores * 20).round() / 20
    kept = nms(boxes, scores, iou_threshold=0.5, offset=0)
    assert kept.tolist() == greedy_loop(boxes, scores, 0.5, 0)


def test_no_box():
    kept = nms(torch.empty(0, 4), torch.empty(0), iou_threshold=0.5, offset=0)
    assert kept.shape == (0,) and kept.dtype == torch.long


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_as_float32(no_torchvision, dtype):
    boxes, scores = clustered_boxes(100, 5)
    boxes, scores = boxes.round().to(dtype), scores.to(dtype)
    kept = nms(boxes, scores, iou_threshold=0.5, offset=0)
    assert kept.tolist() == greedy_loop(boxes, scores, 0.5, 0)


def test_input_is_untouched_and_needs_no_gradient(no_torchvision):
    boxes, scores = clustered_boxes(300, 5)
    before = boxes.clone()
    kept = nms(boxes.requires_grad_(), scores.requires_grad_(), iou_threshold=0.5, offset=0)
    assert torch.equal(boxes, before) and not kept.requires_grad


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('iou_threshold', [0.3, 0.5, 0.7])
def test_parity_with_compiled(compiled, no_torchvision, iou_threshold, offset):
    options = {'iou_threshold': iou_threshold, 'offset': offset}
    for seed, num_objects in enumerate((1, 10, 100, 5000)):
        boxes, scores = clustered_boxes(5000, num_objects, seed)
        scores = (scores * 500).round() / 500
        assert torch.equal(nms(boxes, scores, **options), compiled.nms(boxes, scores, **options))
    for case in NASTY.values():
        boxes = torch.tensor(case, dtype=torch.float32)
        scores = torch.full((len(boxes),), 0.5)
        assert torch.equal(nms(boxes, scores, **options), compiled.nms(boxes, scores, **options))
