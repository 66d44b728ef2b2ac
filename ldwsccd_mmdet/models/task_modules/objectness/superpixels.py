"""Superpixels of a batch of pictures, in plain torch."""

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['superpixels']


@torch.no_grad()
def superpixels(
    pictures: Tensor, number: int = 100, compactness: float = 10.0, rounds: int = 5
) -> Tensor:
    r"""Part pictures into patches of one colour by SLIC (Achanta et al., TPAMI 2012).

    A pixel belongs to the nearest centre of its cell of an even grid and the eight cells around, by

    .. math::
        D^2 = d_{lab}^2 + (m / S)^2 d_{xy}^2 \qquad \text{(eq. 3)}

    with S the side of a cell and m the ``compactness``; centres are then the means of their pixels,
    ``rounds`` times. Other than in the paper, the neighbourhood of a pixel is that of its cell of
    the grid, so that all pixels are treated at once, and patches need not be connected.

    Args:
        pictures: (N, 3, h, w), RGB in [0, 255].
        number: Patches that a picture is to have, about; >= 1.
        compactness: m, > 0: the larger, the more are patches squares.
        rounds: >= 1; 10 is the paper's, after 5 little changes.

    Returns:
        Index (N, h, w) of each pixel's patch, int64, from 0 to one less than their number.
    """
    num_images, _, height, width = pictures.shape
    side = math.sqrt(height * width / number)
    rows, columns = max(1, round(height / side)), max(1, round(width / side))
    features = _features(pictures, compactness / side)
    centres = F.adaptive_avg_pool2d(features, (rows, columns))
    own_row = _cell_of(height, rows, pictures.device)[:, None]
    own_column = _cell_of(width, columns, pictures.device)
    for _ in range(rounds):
        best = torch.full_like(features[:, 0], torch.inf)
        labels = best.new_zeros(best.shape, dtype=torch.long)
        for step in range(9):
            row = (own_row + step // 3 - 1).clamp(0, rows - 1)
            column = (own_column + step % 3 - 1).clamp(0, columns - 1)
            distance = (features - centres[:, :, row, column]).square_().sum(dim=1)
            nearer = distance < best
            best = torch.where(nearer, distance, best)
            labels = torch.where(nearer, row * columns + column, labels)
        centres = _means(features, labels, centres)
    return labels


def _cell_of(length: int, cells: int, device: torch.device) -> Tensor:
    """Index of the cell that each of some pixels in a row lies in."""
    return torch.div(torch.arange(length, device=device) * cells, length, rounding_mode='floor')


def _features(pictures: Tensor, weight: float) -> Tensor:
    """L*, a*, b* and the weighted place of each pixel, (N, 5, h, w)."""
    num_images, _, height, width = pictures.shape
    # all pictures as one tall one: OpenCV takes one at a time
    rgb = pictures.permute(0, 2, 3, 1).reshape(-1, width, 3).cpu().numpy().astype(np.float32)
    lab = torch.from_numpy(cv2.cvtColor(rgb / 255, cv2.COLOR_RGB2LAB)).to(pictures)
    lab = lab.view(num_images, height, width, 3).permute(0, 3, 1, 2)
    y = torch.arange(height, device=pictures.device)[:, None].expand(height, width)
    x = torch.arange(width, device=pictures.device).expand(height, width)
    place = torch.stack([x, y]).to(lab) * weight
    return torch.cat([lab, place.expand(num_images, -1, -1, -1)], dim=1)


def _means(features: Tensor, labels: Tensor, before: Tensor) -> Tensor:
    """Mean features of each patch, (N, 5, rows, columns); one without a pixel stays."""
    index = labels.flatten(1)[:, None].expand(-1, features.shape[1], -1)
    old = before.flatten(2)
    sums = torch.zeros_like(old).scatter_add_(2, index, features.flatten(2))
    counts = torch.zeros_like(old).scatter_add_(2, index, torch.ones_like(features.flatten(2)))
    return torch.where(counts > 0, sums / counts.clamp(min=1), old).view_as(before)
