"""RoIAlign in plain torch: each bin is a weighted sum of map cells, so both passes are one bag sum.

A sample's bilinear weights are a product of one weight along y and one along x, and the mean over
a bin's grid of samples is so too. What a bin takes from the map is therefore known before any
channel is read: a list of cells with one weight each, at most the window the bin covers. The
forward pass sums these rows of the channels-last map (``embedding_bag``, which runs on all
threads), the backward pass sums the rows of the gradient by the same list, sorted by cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .torchvision_kernels import torchvision_kernels

# Cells with their weights that are held at once: 12 bytes each.
MAX_ENTRIES = 1 << 22
MAX_POOLING = 0
# What mmcv writes where max pooling has no sample (an aligned region without area, adaptive grid).
NO_SAMPLE = -10000.0


class _Grid(NamedTuple):
    """The bins of RoIs along one axis, in cells of the map; tensors are (R,)."""

    start: Tensor
    bin_size: Tensor
    samples: Tensor  # a bin's number of samples, int64
    bins: int
    limit: int  # cells of the map


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill ``output``, as ``mmcv._ext.roi_align_forward`` does (He et al., Mask R-CNN, 2017).

    Half and bfloat16 are computed in float32, coordinates too (mmcv computes them in half), and
    a map may have any memory layout (mmcv misreads all but the contiguous one).

    Args:
        input: (N, C, H, W) maps.
        rois: (R, 5) index of the image, and x1, y1, x2, y2 in pixels of the image.
        output: (R, C, aligned_height, aligned_width), written.
        argmax_y: As ``output``, written by max pooling: where on the map the largest sample is.
        argmax_x: The same along x.
        aligned_height: Bins along y.
        aligned_width: Bins along x.
        spatial_scale: Cells of the map for a pixel of the image.
        sampling_ratio: Samples a bin and axis; 0: as many as the bin is cells long.
        pool_mode: 0 for the largest sample of a bin, 1 for the mean.
        aligned: Whether cell centres lie at half-integers; else regions are at least a cell long.

    Raises:
        RuntimeError: If ``aligned`` and a region on the CPU has a negative size, or an index of
            an image does not exist.
    """
    if not output.numel():
        return
    kernels = torchvision_kernels()
    bins = (aligned_height, aligned_width)
    if kernels is not None and pool_mode != MAX_POOLING and _is_native(input):
        grid = (spatial_scale, *bins, sampling_ratio, aligned)
        output.copy_(kernels.roi_align(input, rois.to(input), *grid))
        return
    rows = _rows(input)
    y, x = _grids(rois, input.shape[2:], bins, spatial_scale, sampling_ratio, aligned)
    image = _image_index(rois, len(input))
    for part in _parts(y.samples, x.samples, bins):
        axes = (_take(y, part), _take(x, part))
        pool = _max_pool if pool_mode == MAX_POOLING else _mean_pool
        pooled = pool(rows, image[part], *axes)
        for target, values in zip((output, argmax_y, argmax_x), pooled, strict=False):
            values = values.view(len(part), *bins, -1).permute(0, 3, 1, 2)
            if len(part) == len(rois):  # all at once, in their order
                target.copy_(values)
            else:
                target[part] = values.to(target.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of the maps to ``grad_input`` (N, C, H, W), as ``mmcv._ext`` does.

    Arguments are those of :func:`roi_align_forward`, and what it wrote.
    """
    if not grad_output.numel() or not grad_input.numel():
        return
    bins = (aligned_height, aligned_width)
    shape = grad_input.shape
    kernels = torchvision_kernels()
    if kernels is not None and pool_mode != MAX_POOLING and _is_native(grad_output):
        size = (spatial_scale, *bins, *shape, sampling_ratio, aligned)
        grad_input += kernels._roi_align_backward(grad_output, rois.to(grad_output), *size)
        return
    image = _image_index(rois, shape[0])
    if pool_mode == MAX_POOLING:
        _add_max_gradient(grad_output, image, argmax_y, argmax_x, grad_input)
        return
    y, x = _grids(rois, shape[2:], bins, spatial_scale, sampling_ratio, aligned)
    for part in _parts(y.samples, x.samples, bins):
        cells, weights = _bags(image[part], _take(y, part), _take(x, part))
        own = grad_output if len(part) == len(rois) else grad_output[part]
        grad = _bag_gradient(_rows(own), cells, weights, _num_cells(shape))
        grad_input += grad.view(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)


# ---------------------------------------------------------------- regions and their samples


def _is_native(values: Tensor) -> bool:
    """Whether torchvision's kernels take this type on this device without loss."""
    return values.dtype in (torch.float32, torch.float64)


def _rows(maps: Tensor) -> Tensor:
    """(N, C, H, W) as rows (N * H * W, C), in at least float32; a view of a channels_last map."""
    if maps.dtype in (torch.float16, torch.bfloat16):
        maps = maps.float()
    return maps.detach().permute(0, 2, 3, 1).reshape(-1, maps.size(1))


def _num_cells(shape: torch.Size) -> int:
    return shape[0] * shape[2] * shape[3]


def _image_index(rois: Tensor, num_images: int) -> Tensor:
    image = rois[:, 0].long()
    if rois.device.type == 'cpu' and not bool(((image >= 0) & (image < num_images)).all()):
        raise RuntimeError(
            f'RoIAlign: expected rois[:, 0] to be an index of {num_images} images, '
            f'found {int(image.min())} to {int(image.max())}'
        )
    return image


def _grids(
    rois: Tensor,
    size: torch.Size,
    bins: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> tuple[_Grid, _Grid]:
    """The samples along y and x; the arithmetic is mmcv's, step by step."""
    if rois.dtype in (torch.float16, torch.bfloat16):
        rois = rois.float()
    corners = rois.detach()[:, 1:] * float(np.float32(spatial_scale)) - (0.5 if aligned else 0.0)
    start, length = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if not aligned:
        length = length.clamp(min=1)
    elif rois.device.type == 'cpu' and bool((length < 0).any()):
        raise RuntimeError(
            'RoIAlign: expected x2 >= x1 and y2 >= y1 in rois, found a region of negative size'
        )
    grids = []
    for axis, count in ((1, bins[0]), (0, bins[1])):
        bin_size = length[:, axis] / count
        samples = torch.full_like(bin_size, sampling_ratio) if sampling_ratio > 0 else bin_size
        samples = samples.ceil().clamp(min=0).long()
        grids.append(_Grid(start[:, axis], bin_size, samples, count, size[1 - axis]))
    return grids[0], grids[1]


def _take(grid: _Grid, part: Tensor) -> _Grid:
    return grid._replace(
        start=grid.start[part], bin_size=grid.bin_size[part], samples=grid.samples[part]
    )


def _parts(y_samples: Tensor, x_samples: Tensor, bins: tuple[int, int]) -> Iterator[Tensor]:
    """Indices of RoIs of like numbers of samples, no more at once than memory should hold."""
    area = (2 * y_samples * 2 * x_samples).clamp(min=1) * bins[0] * bins[1]
    # powers of two, so that few parts cover all sizes and none is padded to the largest region
    level = area.double().log2().ceil()
    for value in level.unique().tolist():
        part = (level == value).nonzero()[:, 0]
        yield from part.split(max(1, int(MAX_ENTRIES // 2**value)))


def _sample_points(grid: _Grid) -> tuple[Tensor, Tensor]:
    """Coordinates (R, bins, G) of all samples, and whether there is one: boolean (R, 1, G)."""
    most = int(grid.samples.max())
    index = torch.arange(most, device=grid.start.device)
    bin_size = grid.bin_size[:, None, None]
    bin_index = torch.arange(grid.bins, device=grid.start.device)[:, None]
    points = grid.start[:, None, None] + bin_index * bin_size
    step = (index + 0.5) * bin_size / grid.samples.clamp(min=1)[:, None, None]
    return points + step, index < grid.samples[:, None, None]


def _neighbours(points: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """The two cells beside each point along one axis, and their weights, both (..., 2).

    A point more than a cell outside the map has weights 0; one less outside is moved to the edge.
    """
    inside = (points >= -1) & (points <= limit)
    points = points.clamp(min=0)
    low = torch.where(inside, points, 0).long().clamp(max=limit - 1)
    fraction = torch.where(low >= limit - 1, 0, points - low)
    weights = torch.stack([1 - fraction, fraction], dim=-1) * inside[..., None]
    cells = torch.stack([low, (low + 1).clamp(max=limit - 1)], dim=-1)
    return cells, torch.where(inside[..., None], weights, 0)


# ---------------------------------------------------------------- mean of a bin


def _axis_bags(grid: _Grid) -> tuple[Tensor, Tensor]:
    """Cells and mean weights (R, bins, K) that a bin takes along one axis."""
    points, exists = _sample_points(grid)
    cells, weights = _neighbours(points, grid.limit)
    weights = weights * (exists[..., None] / grid.samples.clamp(min=1)[:, None, None, None])
    cells, weights = cells.flatten(2), weights.flatten(2)
    if not cells.size(2):
        return cells, weights
    first = torch.where(weights > 0, cells, grid.limit).amin(2, keepdim=True)
    last = torch.where(weights > 0, cells, -1).amax(2, keepdim=True)
    window = max(int((last - first).max()) + 1, 1)
    if window >= cells.size(2):
        return cells, weights
    # samples share cells: one entry for each cell of the window
    place = (cells - first).clamp(0, window - 1)
    merged = weights.new_zeros(*weights.shape[:2], window).scatter_add_(2, place, weights)
    span = torch.arange(window, device=cells.device)
    return (first + span).clamp(max=grid.limit - 1), merged


def _bags(image: Tensor, y: _Grid, x: _Grid) -> tuple[Tensor, Tensor]:
    """Rows of the map and their weights, both (R * bins, K), that make the mean of each bin."""
    y_cells, y_weights = _axis_bags(y)
    x_cells, x_weights = _axis_bags(x)
    row = (image[:, None, None] * y.limit + y_cells) * x.limit
    cells = row[:, :, None, :, None] + x_cells[:, None, :, None, :]
    weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None, :]
    num_bins, entries = len(image) * y.bins * x.bins, y_cells.size(2) * x_cells.size(2)
    return cells.view(num_bins, entries), weights.view(num_bins, entries)


def _mean_pool(rows: Tensor, image: Tensor, y: _Grid, x: _Grid) -> tuple[Tensor]:
    cells, weights = _bags(image, y, x)
    if not cells.size(1):
        return (rows.new_zeros(len(cells), rows.size(1)),)
    return (F.embedding_bag(cells, rows, mode='sum', per_sample_weights=weights.to(rows)),)


def _bag_gradient(grad: Tensor, cells: Tensor, weights: Tensor, num_cells: int) -> Tensor:
    """Gradient (num_cells, C) of the rows, of the gradient (B, C) of their bags."""
    entries = cells.size(1)
    used = weights.flatten().nonzero()[:, 0]
    cells, weights = cells.flatten()[used], weights.flatten()[used].to(grad)
    order = _sorted_by_cell(cells, num_cells)
    ends = torch.bincount(cells, minlength=num_cells).cumsum(0)
    return F.embedding_bag(
        (used // max(entries, 1))[order],
        grad,
        offsets=torch.cat([ends.new_zeros(1), ends[:-1]]),
        mode='sum',
        per_sample_weights=weights[order],
    )


def _sorted_by_cell(cells: Tensor, num_cells: int) -> Tensor:
    """Order (E,) that sorts the entries by cell, stable."""
    if cells.device.type != 'cpu':
        return cells.sort(stable=True)[1]
    # numpy sorts 16-bit numbers by radix, several times faster than any sort of int64
    keys = cells.numpy()
    order = (keys & 0xFFFF).astype(np.uint16).argsort(kind='stable')
    if num_cells > 1 << 16:
        order = order[(keys >> 16).astype(np.uint16)[order].argsort(kind='stable')]
    return torch.from_numpy(order)


# ---------------------------------------------------------------- largest sample of a bin


def _max_pool(rows: Tensor, image: Tensor, y: _Grid, x: _Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Largest sample of each bin and where it is, each (R * bins, C)."""
    shape = (len(image), y.bins, x.bins, rows.size(1))
    best = rows.new_full(shape, NO_SAMPLE)
    best_y, best_x = (rows.new_full(shape, -1) for _ in range(2))
    (y_points, y_exists), (x_points, x_exists) = _sample_points(y), _sample_points(x)
    for i in range(y_points.size(2)):
        for j in range(x_points.size(2)):
            point_y, point_x = y_points[:, :, i], x_points[:, :, j]
            value = _bilinear(rows, image, point_y, point_x, (y.limit, x.limit))
            exists = (y_exists[:, 0, i] & x_exists[:, 0, j])[:, None, None, None]
            better = (value > best) & exists
            best = torch.where(better, value, best)
            best_y = torch.where(better, point_y[:, :, None, None].to(rows), best_y)
            best_x = torch.where(better, point_x[:, None, :, None].to(rows), best_x)
    return best, best_y, best_x


def _bilinear(rows: Tensor, image: Tensor, y: Tensor, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Map values (R, bins_y, bins_x, C) at the points y (R, bins_y) and x (R, bins_x)."""
    y_cells, y_weights = _neighbours(y, size[0])
    x_cells, x_weights = _neighbours(x, size[1])
    row = (image[:, None, None] * size[0] + y_cells) * size[1]
    cells = row[:, :, None, :, None] + x_cells[:, None, :, None, :]
    weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None, :]
    values = F.embedding_bag(
        cells.view(-1, 4), rows, mode='sum', per_sample_weights=weights.view(-1, 4).to(rows)
    )
    return values.view(*cells.shape[:3], -1)


def _add_max_gradient(
    grad_output: Tensor, image: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor
) -> None:
    """Give each bin's gradient to the four cells beside its largest sample."""
    _, channels, height, width = grad_input.shape
    grad = grad_output if grad_output.dtype == torch.float64 else grad_output.float()
    y_cells, y_weights = _neighbours(argmax_y.to(grad), height)
    x_cells, x_weights = _neighbours(argmax_x.to(grad), width)
    found = argmax_y != -1
    plane = image[:, None] * channels + torch.arange(channels, device=image.device)
    total = grad.new_zeros(grad_input.numel())
    for i in range(2):
        for j in range(2):
            cell = (plane[:, :, None, None] * height + y_cells[..., i]) * width + x_cells[..., j]
            share = grad * y_weights[..., i] * x_weights[..., j] * found
            total.index_add_(0, cell.flatten(), share.flatten())
    grad_input += total.view(grad_input.shape)
