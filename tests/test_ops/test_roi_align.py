import math

import pytest
import torch

from ldwsccd_mmdet.ops.roi_align import roi_align_backward, roi_align_forward

MODES = {'max': 0, 'avg': 1}
# index of the image, x1, y1, x2, y2 in pixels, on maps of 7 x 9 cells of 4 px
ROIS = {
    'plain': [[0, 3.0, 2.0, 20.0, 17.0], [1, 5.5, 1.25, 33.0, 25.0]],
    'outside': [[0, -30.0, -9.0, 6.0, 7.0], [1, 30.0, 20.0, 90.0, 70.0], [0, 99, 99, 120, 130]],
    'no area': [[0, 8.0, 8.0, 8.0, 8.0], [1, 4.0, 6.0, 4.0, 20.0]],
    'whole': [[0, 0.0, 0.0, 36.0, 28.0], [0, -40.0, -40.0, 90.0, 90.0]],
    'equal': [[1, 4.0, 4.0, 12.0, 12.0]] * 3,
    'small': [[0, 9.0, 9.0, 9.5, 9.5], [1, 34.0, 26.0, 36.0, 28.0]],
}


def bilinear(plane, y, x):
    """Value of a map (C, H, W) at a point, by mmcv's rules for the border."""
    height, width = plane.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return plane.new_zeros(len(plane))
    y, x = max(y, 0.0), max(x, 0.0)
    low_y, low_x = int(y), int(x)
    if low_y >= height - 1:
        y = low_y = height - 1
    if low_x >= width - 1:
        x = low_x = width - 1
    high_y, high_x = min(low_y + 1, height - 1), min(low_x + 1, width - 1)
    dy, dx = y - low_y, x - low_x
    top = plane[:, low_y, low_x] * (1 - dx) + plane[:, low_y, high_x] * dx
    bottom = plane[:, high_y, low_x] * (1 - dx) + plane[:, high_y, high_x] * dx
    return top * (1 - dy) + bottom * dy


def roi_align_loop(maps, rois, size, scale, sampling_ratio, mode, aligned):
    """RoIAlign sample by sample; differentiable."""
    result = []
    for image, *corners in rois.tolist():
        x1, y1, x2, y2 = (c * scale - (0.5 if aligned else 0) for c in corners)
        width, height = x2 - x1, y2 - y1
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        grid_y = sampling_ratio or math.ceil(height / size[0])
        grid_x = sampling_ratio or math.ceil(width / size[1])
        bins = []
        for i in range(size[0]):
            for j in range(size[1]):
                samples = [
                    bilinear(
                        maps[int(image)],
                        y1 + height / size[0] * (i + (k + 0.5) / grid_y),
                        x1 + width / size[1] * (j + (m + 0.5) / grid_x),
                    )
                    for k in range(grid_y)
                    for m in range(grid_x)
                ]
                if not samples:
                    bins.append(maps.new_full((maps.size(1),), -10000.0 if mode == 'max' else 0))
                elif mode == 'max':
                    bins.append(torch.stack(samples).max(dim=0)[0])
                else:
                    bins.append(torch.stack(samples).mean(dim=0))
        result.append(torch.stack(bins, dim=1).view(-1, *size))
    return torch.stack(result)


def run(forward, backward, maps, rois, size, scale, sampling_ratio, mode, aligned, grad=None):
    """Call the operators as ``mmcv.ops.RoIAlign`` does: the result, and the gradient of maps."""
    shape = (len(rois), maps.size(1), *size)
    output = maps.new_zeros(shape)
    argmax = [maps.new_zeros(shape if mode == 'max' else 0) for _ in range(2)]
    options = dict(
        aligned_height=size[0],
        aligned_width=size[1],
        spatial_scale=scale,
        sampling_ratio=sampling_ratio,
        pool_mode=MODES[mode],
        aligned=aligned,
    )
    forward(maps, rois, output, *argmax, **options)
    grad_input = maps.new_zeros(maps.shape)
    grad = torch.ones_like(output) if grad is None else grad
    backward(grad, rois, *argmax, grad_input, **options)
    return output, grad_input


def run_ours(*args, **kwargs):
    return run(roi_align_forward, roi_align_backward, *args, **kwargs)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('sampling_ratio', [0, 1, 2, 3])
@pytest.mark.parametrize('case', ROIS)
def test_as_a_loop(no_torchvision, case, sampling_ratio, mode, aligned):
    maps = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    rois = torch.tensor(ROIS[case], dtype=torch.float64)
    settings = ((2, 3), 0.25, sampling_ratio, mode, aligned)
    grad = torch.randn(len(rois), 3, 2, 3, dtype=torch.float64)
    output, grad_input = run_ours(maps, rois, *settings, grad=grad)

    expected = roi_align_loop(maps.requires_grad_(), rois, *settings)
    torch.testing.assert_close(output, expected.detach())
    if expected.requires_grad:
        (expected_grad,) = torch.autograd.grad(expected, maps, grad)
        torch.testing.assert_close(grad_input, expected_grad)
    else:
        assert not grad_input.any()


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32(no_torchvision, dtype, mode):
    maps, rois = torch.randn(2, 3, 7, 9).to(dtype), torch.tensor(ROIS['plain']).to(dtype)
    settings = ((3, 3), 0.25, 2, mode, True)
    output, grad = run_ours(maps, rois, *settings)
    exact, exact_grad = run_ours(maps.float(), rois.float(), *settings)
    assert output.dtype == grad.dtype == dtype
    torch.testing.assert_close(output, exact.to(dtype))
    torch.testing.assert_close(grad.float(), exact_grad, rtol=0.02, atol=0.02)


def test_channels_last_and_strided_gradients(no_torchvision):
    maps, rois = torch.randn(2, 8, 7, 9), torch.tensor(ROIS['plain'])
    settings = ((3, 2), 0.25, 0, 'avg', True)
    grad = torch.randn(2, 8, 3, 2)
    expected = run_ours(maps, rois, *settings, grad=grad)
    found = run_ours(
        maps.contiguous(memory_format=torch.channels_last),
        rois,
        *settings,
        grad=grad.transpose(1, 3).contiguous().transpose(1, 3),
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('mode', MODES)
def test_no_region_and_no_image(no_torchvision, mode):
    for images in (0, 2):
        maps, rois = torch.randn(images, 3, 7, 9), torch.empty(0, 5)
        output, grad = run_ours(maps, rois, (2, 2), 0.25, 2, mode, True)
        assert output.shape == (0, 3, 2, 2) and grad.shape == maps.shape and not grad.any()


def test_many_sizes_on_a_large_map_as_a_loop(no_torchvision):
    """Regions in parts by size, and more cells than 16 bits number."""
    maps = torch.randn(2, 1, 190, 180)
    corner = torch.rand(5, 2) * 600
    side = torch.tensor([2.0, 9, 40, 3, 90])[:, None]
    image = torch.arange(5)[:, None] % 2
    rois = torch.cat([image, corner, corner + side * torch.tensor([1.0, 0.5])], dim=1)
    settings = ((3, 3), 0.25, 0, 'avg', True)
    output, grad_input = run_ours(maps, rois, *settings)
    expected = roi_align_loop(maps.requires_grad_(), rois, *settings)
    torch.testing.assert_close(output, expected.detach(), rtol=1e-4, atol=1e-4)
    (expected_grad,) = torch.autograd.grad(expected.sum(), maps)
    torch.testing.assert_close(grad_input, expected_grad, rtol=1e-4, atol=1e-4)


def test_faults_are_said():
    maps = torch.randn(2, 3, 7, 9)
    with pytest.raises(RuntimeError, match='negative size'):
        run_ours(maps, torch.tensor([[0, 9.0, 2, 3, 8]]), (2, 2), 0.25, 2, 'max', True)
    with pytest.raises(RuntimeError, match='index of 2 images, found 2 to 2'):
        run_ours(maps, torch.tensor([[2, 1.0, 2, 3, 8]]), (2, 2), 0.25, 2, 'max', True)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('sampling_ratio', [0, 1, 2])
def test_parity_with_compiled(compiled, no_torchvision, sampling_ratio, mode, aligned):
    settings = ((7, 7), 0.25, sampling_ratio, mode, aligned)
    maps = torch.randn(2, 16, 50, 60)
    corner = torch.rand(200, 2) * 220 - 20
    side = torch.rand(200, 2) * 80
    many = torch.cat([torch.arange(200)[:, None] % 2, corner, corner + side], dim=1)
    for rois in (many, *map(torch.tensor, ROIS.values())):
        grad = torch.randn(len(rois), 16, 7, 7)
        found = run_ours(maps, rois, *settings, grad=grad)
        expected = run(
            compiled.roi_align_forward,
            compiled.roi_align_backward,
            maps,
            rois.float(),
            *settings,
            grad=grad,
        )
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
