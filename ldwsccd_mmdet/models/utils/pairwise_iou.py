"""IoU of many boxes with few, on the CPU as quick as it can be."""

import torch
from torch import Tensor


@torch.no_grad()
def pairwise_iou(bboxes: Tensor, others: Tensor, eps: float = 1e-6) -> Tensor:
    """IoU of each of S boxes with each of R, image by image.

    It is mmdet's ``bbox_overlaps``, one coordinate a time: with the many boxes in the last
    dimension a CPU does eight at once, not two.

    Args:
        bboxes: The many, (N, R, 4), x1, y1, x2, y2.
        others: The few, (N, S, 4).
        eps: Least union, so that boxes without an area have the IoU 0.

    Returns:
        (N, S, R), in [0, 1].
    """
    left, top, right, bottom = bboxes[:, None].unbind(dim=-1)
    left_o, top_o, right_o, bottom_o = others[:, :, None].unbind(dim=-1)
    width = torch.minimum(right, right_o).sub_(torch.maximum(left, left_o)).clamp_(min=0)
    height = torch.minimum(bottom, bottom_o).sub_(torch.maximum(top, top_o)).clamp_(min=0)
    inter = width.mul_(height)
    area, area_o = (right - left) * (bottom - top), (right_o - left_o) * (bottom_o - top_o)
    return inter / (area + area_o).sub_(inter).clamp_(min=eps)
