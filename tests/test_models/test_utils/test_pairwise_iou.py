import torch
from mmdet.structures.bbox import bbox_overlaps

from ldwsccd_mmdet.models.utils import pairwise_iou


def test_equals_mmdets_overlaps():
    bboxes = torch.rand(2, 30, 4) * 40  # half of them have no area: x2 < x1 counts as none
    bboxes[..., 2:] = torch.maximum(bboxes[..., :2], bboxes[..., 2:])
    bboxes[0, 0] = torch.tensor([-500.0, -500.0, -400.0, -400.0])
    others = torch.cat([bboxes[:, 3:6], bboxes[:, :1] + 1], dim=1)
    before = bboxes.clone()
    iou = pairwise_iou(bboxes, others)
    assert iou.shape == (2, 4, 30)
    torch.testing.assert_close(iou.transpose(1, 2), bbox_overlaps(bboxes, others))
    assert torch.equal(bboxes, before)


def test_double_and_no_gradient():
    bboxes = torch.rand(1, 3, 4, dtype=torch.float64, requires_grad=True)
    iou = pairwise_iou(bboxes, bboxes[:, :2])
    assert iou.dtype == torch.float64
    assert not iou.requires_grad
