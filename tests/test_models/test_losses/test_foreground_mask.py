import math

import pytest
import torch

from ldwsccd_mmdet.models.losses import fgd_scale_masks, foreground_mask


def brute_force(bboxes, feat_size, input_size):
    """Eq. 9, cell by cell."""
    height, width = feat_size
    mask = torch.zeros(len(bboxes), height, width)
    for n, boxes in enumerate(bboxes):
        for x1, y1, x2, y2 in boxes.tolist():
            hit = False
            for i in range(height):
                for j in range(width):
                    y = (i + 0.5) * input_size[0] / height
                    x = (j + 0.5) * input_size[1] / width
                    if x1 <= x <= x2 and y1 <= y <= y2:
                        mask[n, i, j] = 1
                        hit = True
            if not hit:
                i = int((y1 + y2) / 2 * height / input_size[0] // 1)
                j = int((x1 + x2) / 2 * width / input_size[1] // 1)
                mask[n, min(max(i, 0), height - 1), min(max(j, 0), width - 1)] = 1
    return mask


@pytest.mark.parametrize('feat_size', [(8, 8), (4, 6), (1, 1), (3, 5)])
def test_equals_brute_force(feat_size):
    corner = torch.rand(40, 2) * 72 - 4  # some boxes lie partly or wholly outside 64 x 64
    bboxes = torch.cat([corner, corner + torch.rand(40, 2) * 20], dim=1)
    batch = [bboxes[:15], bboxes[15:15], bboxes[15:16], bboxes[16:]]
    out = foreground_mask(batch, feat_size, (64, 64))
    assert torch.equal(out, brute_force(batch, feat_size, (64, 64)))


def test_edges_belong_to_the_box():
    # centres of a 4 x 4 map of 32 px lie at 4, 12, 20, 28
    box = torch.tensor([[4.0, 12.0, 20.0, 12.0]])
    assert foreground_mask([box], (4, 4), (32, 32)).nonzero().tolist() == [
        [0, 1, 0],
        [0, 1, 1],
        [0, 1, 2],
    ]


@pytest.mark.parametrize(
    ('box', 'cell'),
    [
        ([9.0, 17.0, 10.0, 18.0], [2, 1]),  # smaller than a cell
        ([13.0, 0.0, 19.0, 32.0], [2, 2]),  # between two columns of centres: centre (16, 16)
        ([-50.0, -50.0, -40.0, -40.0], [0, 0]),  # outside
        ([90.0, 5.0, 99.0, 6.0], [0, 3]),
        ([32.0, 32.0, 32.0, 32.0], [3, 3]),  # no area, on the far corner
    ],
)
def test_box_without_a_cell_centre_takes_one_cell(box, cell):
    out = foreground_mask([torch.tensor([box])], (4, 4), (32, 32))
    assert out.sum() == 1
    assert out[0].nonzero().tolist() == [cell]


def test_no_box_and_whole_image():
    out = foreground_mask(
        [torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 32.0, 16.0]])], (2, 4), (16, 32)
    )
    assert out[0].sum() == 0
    assert out[1].sum() == 8


def fgd_brute_force(bboxes, feat_size, input_size):
    """FGD's eq. 4 and 5, box by box: the largest weight counts, the rest is background."""
    height, width = feat_size
    foreground = torch.zeros(len(bboxes), height, width)
    for n, boxes in enumerate(bboxes):
        for x1, y1, x2, y2 in boxes.tolist():
            scale_x, scale_y = width / input_size[1], height / input_size[0]
            left, right = math.floor(x1 * scale_x), math.ceil(x2 * scale_x)
            top, bottom = math.floor(y1 * scale_y), math.ceil(y2 * scale_y)
            weight = 1 / ((right + 1 - left) * (bottom + 1 - top))
            for i in range(max(top, 0), min(bottom, height - 1) + 1):
                for j in range(max(left, 0), min(right, width - 1) + 1):
                    foreground[n, i, j] = max(foreground[n, i, j].item(), weight)
    background = (foreground == 0).float()
    return foreground, background / background.sum((1, 2), keepdim=True).clamp(min=1)


@pytest.mark.parametrize('feat_size', [(8, 8), (4, 6), (1, 1), (3, 5)])
def test_fgd_scale_masks_equal_brute_force(feat_size):
    corner = torch.rand(40, 2) * 72 - 4  # some boxes lie partly or wholly outside 64 x 64
    bboxes = torch.cat([corner, corner + torch.rand(40, 2) * 20], dim=1)
    batch = [bboxes[:15], bboxes[15:15], bboxes[15:16], bboxes[16:]]
    out = fgd_scale_masks(batch, feat_size, (64, 64))
    for mine, expected in zip(out, fgd_brute_force(batch, feat_size, (64, 64)), strict=True):
        torch.testing.assert_close(mine, expected)


def test_fgd_scale_masks_without_any_box():
    foreground, background = fgd_scale_masks([torch.zeros(0, 4)] * 2, (2, 4), (16, 32))
    assert foreground.sum() == 0
    assert torch.equal(background, torch.full((2, 2, 4), 1 / 8))


def test_bad_input():
    with pytest.raises(ValueError, match='one tensor'):
        foreground_mask([], (4, 4), (32, 32))
    with pytest.raises(ValueError, match=r'bboxes\[0\].*new_zeros'):
        foreground_mask([torch.zeros(0)], (4, 4), (32, 32))
