import math

import pytest
import torch

from ldwsccd_mmdet.ops.roi_pool import roi_pool_backward, roi_pool_forward
from tests.test_ops.test_roi_align import ROIS


def roi_pool_loop(maps, rois, size, scale):
    """The largest cell of each bin, bin by bin; differentiable."""
    height, width = maps.shape[2:]
    result = []
    for image, x1, y1, x2, y2 in rois.tolist():
        x1, y1, x2, y2 = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        step_y, step_x = (y2 - y1) / size[0], (x2 - x1) / size[1]
        bins = []
        for i in range(size[0]):
            for j in range(size[1]):
                rows = range(max(math.floor(i * step_y + y1), 0), math.ceil((i + 1) * step_y + y1))
                cols = range(max(math.floor(j * step_x + x1), 0), math.ceil((j + 1) * step_x + x1))
                window = maps[int(image)][:, rows.start : max(rows.stop, 0)]
                window = window[:, :, cols.start : max(cols.stop, 0)].flatten(1)
                empty = not window.numel() or step_y <= 0 or step_x <= 0
                bins.append(maps.new_zeros(maps.size(1)) if empty else window.max(dim=1)[0])
        result.append(torch.stack(bins, dim=1).view(-1, *size))
    return torch.stack(result)


def run(maps, rois, size, scale, grad=None):
    output = maps.new_zeros(len(rois), maps.size(1), *size)
    argmax = torch.zeros(output.shape, dtype=torch.int)
    options = dict(pooled_height=size[0], pooled_width=size[1], spatial_scale=scale)
    roi_pool_forward(maps, rois, output, argmax, **options)
    grad_input = torch.zeros_like(maps)
    roi_pool_backward(
        torch.ones_like(output) if grad is None else grad, rois, argmax, grad_input, **options
    )
    return output, argmax, grad_input


@pytest.mark.parametrize('size', [(2, 3), (7, 7)])
@pytest.mark.parametrize('case', [*ROIS, 'negative'])
def test_as_a_loop(case, size):
    maps = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    rois = torch.tensor(ROIS.get(case, [[0, 9.0, 9, 2, 3]]), dtype=torch.float64)
    grad = torch.randn(len(rois), 3, *size, dtype=torch.float64)
    output, argmax, grad_input = run(maps, rois, size, 0.25, grad)
    expected = roi_pool_loop(maps.requires_grad_(), rois, size, 0.25)
    assert torch.equal(output, expected.detach())
    assert torch.equal(argmax < 0, (expected == 0).detach())
    if expected.requires_grad:
        (expected_grad,) = torch.autograd.grad(expected, maps, grad)
        torch.testing.assert_close(grad_input, expected_grad)
    else:
        assert not grad_input.any()


def test_first_of_equal_cells_counts():
    maps = torch.zeros(1, 1, 4, 4)
    _, argmax, grad = run(maps, torch.tensor([[0, 0.0, 0, 3, 3]]), (1, 1), 1.0)
    assert argmax.item() == 0 and grad[0, 0, 0, 0] == 1 and grad.sum() == 1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_types_and_channels_last(dtype):
    maps = torch.randn(2, 3, 7, 9).to(dtype).contiguous(memory_format=torch.channels_last)
    rois = torch.tensor(ROIS['plain'])
    output, _, grad = run(maps, rois, (2, 2), 0.25)
    expected, _, _ = run(maps.float().contiguous(), rois, (2, 2), 0.25)
    assert torch.equal(output.float(), expected) and grad.float().sum() == 2 * 3 * 4


def test_no_region_and_no_image():
    for images in (0, 2):
        output, _, grad = run(torch.randn(images, 3, 7, 9), torch.empty(0, 5), (2, 2), 0.25)
        assert output.shape == (0, 3, 2, 2) and not grad.any()
