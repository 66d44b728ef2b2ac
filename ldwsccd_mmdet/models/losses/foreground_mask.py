"""Which cells of a feature map lie on an object."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..utils import float_dtype, pad_boxes


def cells_in_boxes(
    bboxes: Tensor, feat_size: tuple[int, int], input_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Rows and columns of a feature map that each box claims, eq. 9.

    A box claims the cells whose centre lies in it, edges included. A box that holds no cell centre
    claims the cell that holds the box's own centre, clamped to the map.

    Args:
        bboxes: (..., 4), x1, y1, x2, y2 in pixels of the padded batch tensor.
        feat_size: (H, W) of the map, in cells.
        input_size: (H_in, W_in) of the padded batch tensor, in pixels.

    Returns:
        Two boolean tensors, rows (..., H) and columns (..., W). A box claims their outer product.
    """
    dtype = float_dtype(bboxes)
    boxes = bboxes.to(dtype)
    inside, centre = [], []
    for cells, pixels, first in (
        (feat_size[0], input_size[0], 1),
        (feat_size[1], input_size[1], 0),
    ):
        index = torch.arange(cells, device=boxes.device)
        # multiply before dividing: exact for the power-of-two strides of SSD
        cell_centre = (index.to(dtype) + 0.5) * pixels / cells
        low, high = boxes[..., first, None], boxes[..., first + 2, None]
        inside.append((cell_centre >= low) & (cell_centre <= high))
        middle = ((low + high) * 0.5 * cells / pixels).floor().clamp(0, cells - 1)
        centre.append(index == middle)
    holds_none = ~(inside[0].any(-1) & inside[1].any(-1))[..., None]
    rows = torch.where(holds_none, centre[0], inside[0])
    columns = torch.where(holds_none, centre[1], inside[1])
    return rows, columns


def foreground_mask(
    bboxes: Sequence[Tensor], feat_size: tuple[int, int], input_size: tuple[int, int]
) -> Tensor:
    r"""Foreground mask :math:`M` of a batch, eq. 9.

    .. math::
        M_{i j} = 1 \text{ if the centre of cell } (i, j) \text{ lies in a box, else } 0

    Edges belong to the box. Mended against the print: a box that holds no cell centre (smaller than
    a cell, or outside the map) takes the cell that holds the box's centre, clamped to the map, so
    no object is without foreground at any level. Boxes are scaled by the padded input size, not by
    the image's own shape.

    Args:
        bboxes: Per image a tensor (n_i, 4) of x1, y1, x2, y2 in pixels of the padded batch tensor;
            n_i may be 0.
        feat_size: (H, W) of the feature map.
        input_size: (H_in, W_in) of the padded batch tensor.

    Returns:
        Mask (N, H, W) of 0 and 1, float32 (float64 when the boxes are), on the boxes' device.

    Raises:
        ConfigError: If ``bboxes`` is empty or a tensor in it is not (n, 4).

    Example:
        A map of 4 x 4 cells over an image of 32 x 32 pixels: a cell is 8 pixels wide.

        >>> boxes = torch.tensor([[0.0, 0.0, 15.0, 15.0], [25.0, 25.0, 27.0, 27.0]])
        >>> foreground_mask([boxes], feat_size=(4, 4), input_size=(32, 32))
        tensor([[[1., 1., 0., 0.],
                 [1., 1., 0., 0.],
                 [0., 0., 0., 0.],
                 [0., 0., 0., 1.]]])

        The second box holds no cell centre, and so takes the cell that holds its own.
    """
    boxes, valid = pad_boxes(bboxes)
    rows, columns = cells_in_boxes(boxes, feat_size, input_size)
    dtype = float_dtype(boxes)
    # one matrix product counts the boxes over each cell: (N, H, n) x (N, n, W)
    rows = (rows & valid[..., None]).to(dtype)
    return (rows.transpose(1, 2) @ columns.to(dtype) > 0).to(dtype)


def fgd_scale_masks(
    bboxes: Sequence[Tensor], feat_size: tuple[int, int], input_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    r"""Scale masks of FGD (Yang et al., CVPR 2022, eq. 4 and 5) in place of :math:`M`.

    On the map a box covers the cells floor(x1) to ceil(x2) and floor(y1) to ceil(y2), both ends
    included, and weighs 1 / (cells covered before clipping); where boxes overlap the largest weight
    counts. A background cell weighs 1 / (number of background cells).

    Args:
        bboxes: As :func:`foreground_mask`.
        feat_size: (H, W) of the feature map.
        input_size: (H_in, W_in) of the padded batch tensor.

    Returns:
        Weights (N, H, W) of the foreground and of the background, in [0, 1].

    Raises:
        ConfigError: If ``bboxes`` is empty or a tensor in it is not (n, 4).
    """
    boxes, valid = pad_boxes(bboxes)
    height, width = feat_size
    scale = boxes.new_tensor([width, height, width, height])
    pixels = boxes.new_tensor([input_size[1], input_size[0], input_size[1], input_size[0]])
    on_map = boxes * scale / pixels
    left, top = on_map[..., :2].floor().unbind(-1)
    right, bottom = on_map[..., 2:].ceil().unbind(-1)
    weight = valid / ((right - left + 1) * (bottom - top + 1)).clamp(min=1)

    y = torch.arange(height, device=boxes.device)
    x = torch.arange(width, device=boxes.device)
    rows = (y >= top[..., None]) & (y <= bottom[..., None])
    columns = (x >= left[..., None]) & (x <= right[..., None])
    covered = (rows * weight[..., None])[..., :, None] * columns.to(weight)[..., None, :]
    foreground = covered.amax(dim=1)
    background = (foreground == 0).to(foreground)
    background = background / background.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    return foreground, background
