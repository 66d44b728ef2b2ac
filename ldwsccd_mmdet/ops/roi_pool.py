"""RoIPool in plain torch: the largest map cell of each bin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

# Values of a window's cells that are held at once.
MAX_VALUES = 1 << 24


@torch.no_grad()
def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fill ``output`` and ``argmax``, as ``mmcv._ext.roi_pool_forward`` does on a GPU.

    A region is x1 s to (x2 + 1) s cells long (Girshick, Fast R-CNN, 2015); bin i covers the cells
    floor(start + i size) to ceil(start + (i + 1) size), within the map. A bin without a cell is 0
    and passes no gradient on. mmcv has no such operator for the CPU.

    Args:
        input: (N, C, H, W) maps, of any memory layout.
        rois: (R, 5) index of the image, and x1, y1, x2, y2 in pixels of the image.
        output: (R, C, pooled_height, pooled_width), written.
        argmax: As ``output``, int32, written: the cell y W + x that was taken, or -1.
        pooled_height: Bins along y.
        pooled_width: Bins along x.
        spatial_scale: Cells of the map for a pixel of the image.
    """
    argmax.fill_(-1)
    if not output.numel():
        return
    height, width = input.shape[2:]
    rows = input.permute(0, 2, 3, 1).reshape(-1, input.size(1))
    image = rois[:, 0].long()
    y_first, y_end = _edges(rois[:, 2], rois[:, 4], pooled_height, spatial_scale, height)
    x_first, x_end = _edges(rois[:, 1], rois[:, 3], pooled_width, spatial_scale, width)
    for part in _parts(y_end - y_first, x_end - x_first, input.size(1)):
        best, place = _largest(
            rows,
            image[part] * height * width,
            (y_first[part], y_end[part]),
            (x_first[part], x_end[part]),
            width,
        )
        output[part] = best.permute(0, 3, 1, 2)
        argmax[part] = place.permute(0, 3, 1, 2).to(argmax.dtype)


@torch.no_grad()
def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add each bin's gradient to the cell it took; arguments as in :func:`roi_pool_forward`."""
    if not grad_output.numel() or not grad_input.numel():
        return
    _, channels, height, width = grad_input.shape
    plane = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    cells = plane[:, :, None, None] * (height * width) + argmax.clamp(min=0)
    share = grad_output * (argmax >= 0)
    total = torch.zeros(
        grad_input.numel(),
        device=grad_input.device,
        dtype=torch.promote_types(grad_input.dtype, torch.float32),
    )
    total.index_add_(0, cells.flatten(), share.flatten().to(total.dtype))
    grad_input += total.view(grad_input.shape)


def _edges(
    low: Tensor, high: Tensor, bins: int, spatial_scale: float, limit: int
) -> tuple[Tensor, Tensor]:
    """First cell of each bin and the one after its last, (R, bins); none in an empty region."""
    scale = float(np.float32(spatial_scale))
    low, high = (edge.to(torch.promote_types(edge.dtype, torch.float32)) for edge in (low, high))
    start, end = low * scale, (high + 1) * scale
    size = ((end - start) / bins)[:, None]
    index = torch.arange(bins, device=low.device)
    first = (index * size + start[:, None]).floor().long().clamp(0, limit)
    last = ((index + 1) * size + start[:, None]).ceil().long().clamp(0, limit)
    return first, torch.where(size > 0, last, first)


def _parts(y_cells: Tensor, x_cells: Tensor, channels: int) -> Iterator[Tensor]:
    """Indices of RoIs whose bins have about as many cells, few enough at once for the memory."""
    area = y_cells.amax(1).clamp(min=1) * x_cells.amax(1).clamp(min=1)
    level = area.double().log2().ceil()
    step = max(1, MAX_VALUES // (y_cells.size(1) * x_cells.size(1) * channels))
    for value in level.unique():
        yield from (level == value).nonzero()[:, 0].split(step)


def _largest(
    rows: Tensor,
    first_row: Tensor,
    y: tuple[Tensor, Tensor],
    x: tuple[Tensor, Tensor],
    width: int,
) -> tuple[Tensor, Tensor]:
    """Largest value of each bin's window and its cell, both (R, bins_y, bins_x, C)."""
    shape = (len(first_row), y[0].size(1), x[0].size(1), rows.size(1))
    empty = ((y[1] <= y[0])[:, :, None] | (x[1] <= x[0])[:, None])[..., None]
    lowest = rows.new_full((), torch.finfo(rows.dtype).min)
    best = torch.where(empty, rows.new_zeros(()), lowest).expand(shape)
    place = torch.full(shape, -1, device=rows.device)
    for i in range(int((y[1] - y[0]).max())):
        for j in range(int((x[1] - x[0]).max())):
            row, column = (y[0] + i)[:, :, None], (x[0] + j)[:, None]
            inside = (row < y[1][:, :, None]) & (column < x[1][:, None])
            cell = torch.where(inside, row * width + column, 0)
            value = rows[first_row[:, None, None] + cell]
            # strictly: of equal cells the first counts
            better = inside[..., None] & (value > best)
            best = torch.where(better, value, best)
            place = torch.where(better, cell[..., None], place)
    return best, place
