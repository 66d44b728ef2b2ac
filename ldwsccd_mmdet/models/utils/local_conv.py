"""Convolution whose weights differ from place to place."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['LocalConv2d']


class LocalConv2d(nn.Module):
    r"""Locally connected layer: a convolution with weights of its own at each of S x S places.

    .. math::
        y_{o, l} = b_{o, l} + \sum_{c, i, j} w_{l, o, c, i, j} \, x_{c, l + (i, j)}

    Stride 1, zero padding of half the kernel. Parameters are laid out as Darknet's ``[local]``
    layer stores them.

    Args:
        in_channels: Channels C of the input.
        out_channels: Channels of the result.
        size: S, rows and columns of the map.
        kernel_size: Odd.

    Attributes:
        weight: (S * S, out, C, k, k).
        bias: (out, S, S).
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, kernel_size: int = 3):
        super().__init__()
        self.kernel_size = kernel_size
        shape = (size * size, out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels, size, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as for a convolution before a leaky ReLU of slope 0.1; bias 0."""
        fan_in = self.weight[0, 0].numel()
        nn.init.normal_(self.weight, std=(2 / (1.01 * fan_in)) ** 0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer, (N, C, S, S) to (N, out, S, S)."""
        patches = F.unfold(x, self.kernel_size, padding=self.kernel_size // 2)
        # places first: one matrix product a place, (out, C k k) by (C k k, N)
        out = self.weight.flatten(2) @ patches.permute(2, 1, 0)
        return out.permute(2, 1, 0).reshape(len(x), *self.bias.shape) + self.bias
