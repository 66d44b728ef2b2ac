import pytest
import torch
from mmcv.ops import nms

from ldwsccd_mmdet.models.utils import cluster_nms


def boxes(*shape):
    corner = torch.rand(*shape, 2) * 40
    return torch.cat([corner, corner + 5 + torch.rand(*shape, 2) * 25], dim=-1)


@pytest.mark.parametrize('iou_threshold', [0.0, 0.2, 0.5, 1.0])
def test_equals_greedy_nms_of_each_group(iou_threshold):
    bboxes, candidate = boxes(6, 40), torch.rand(6, 40) < 0.8
    keep = cluster_nms(bboxes, candidate, iou_threshold)
    falling = torch.linspace(1, 0.5, 40)
    for group in range(6):
        index = candidate[group].nonzero().squeeze(1)
        _, kept = nms(bboxes[group, index], falling[index], iou_threshold)
        assert sorted(index[kept].tolist()) == keep[group].nonzero().squeeze(1).tolist()


def test_a_chain_of_suppressions():
    """The second goes because of the first, so the third stays, so the fourth goes."""
    x = torch.tensor([0.0, 5.0, 10.0, 15.0])
    bboxes = torch.stack([x, x * 0, x + 10, x * 0 + 10], dim=-1)[None]
    keep = cluster_nms(bboxes, torch.ones(1, 4, dtype=torch.bool), 0.3)
    assert keep.tolist() == [[True, False, True, False]]


def test_groups_in_parts_give_the_same(monkeypatch):
    bboxes, candidate = boxes(5, 10), torch.ones(5, 10, dtype=torch.bool)
    whole = cluster_nms(bboxes, candidate, 0.3)
    monkeypatch.setitem(cluster_nms.__wrapped__.__globals__, 'MAX_PAIRS', 200)
    assert torch.equal(cluster_nms(bboxes, candidate, 0.3), whole)


@pytest.mark.parametrize('shape', [(0, 4), (3, 0)])
def test_nothing_in_nothing_out(shape):
    keep = cluster_nms(torch.zeros(*shape, 4), torch.zeros(shape, dtype=torch.bool), 0.5)
    assert keep.shape == shape
