"""Densely connected backbone of DSOD, which learns from scratch."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import check_argument

#: Xavier for convolutions, 1 for norm layers.
INIT_CFG = [
    dict(type='Xavier', distribution='uniform', layer='Conv2d'),
    dict(type='Constant', val=1, layer='_BatchNorm'),
]


def norm_first_conv(
    in_channels: int, out_channels: int, kernel: int, norm_cfg: ConfigType, stride: int = 1
) -> ConvModule:
    """Make a norm layer, ReLU and a convolution without bias, in this order."""
    return ConvModule(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=kernel // 2,
        norm_cfg=norm_cfg,
        order=('norm', 'act', 'conv'),
    )


class DenseLayer(BaseModule):
    """A layer of a dense block (Huang et al., 2017): its result is laid beside its input.

    Args:
        in_channels: Channels of the input.
        growth_rate: Channels that it adds.
        bottleneck: The 1x1 convolution before the 3x3 one has so many times ``growth_rate``.
        norm_cfg: Norm layer.
    """

    def __init__(
        self, in_channels: int, growth_rate: int, bottleneck: int, norm_cfg: ConfigType
    ) -> None:
        super().__init__()
        hidden = bottleneck * growth_rate
        self.conv1 = norm_first_conv(in_channels, hidden, 1, norm_cfg)
        self.conv2 = norm_first_conv(hidden, growth_rate, 3, norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer, (N, C, H, W) to (N, C + growth_rate, H, W)."""
        return torch.cat([x, self.conv2(self.conv1(x))], dim=1)


@MODELS.register_module()
class DSODNet(BaseModule):
    """Backbone of DSOD (Shen et al., 2017, table 1): DS/64-192-48-1 with the default numbers.

    - Stem: three 3x3 convolutions, the first of stride 2, and a 2x2 max pooling.
    - Four dense blocks of 6, 8, 8 and 8 layers with a 1x1 convolution after each; after the first
      comes a max pooling, and one before the third, and none after it, so that depth grows without
      losing resolution (the paper's "transition without pooling"). All are "norm, ReLU,
      convolution"; none has a dropout.

    Args:
        stem_channels: Channels of the three convolutions of the stem.
        growth_rate: Channels that a layer adds.
        bottleneck: See :class:`DenseLayer`.
        block_layers: Layers of each of the four blocks.
        last_channels: Channels of the second map.
        norm_cfg: Norm layer.
        init_cfg: Initialisation; by default Xavier for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If there are not three channels of the stem, or not four blocks.
    """

    def __init__(
        self,
        stem_channels: Sequence[int] = (64, 64, 128),
        growth_rate: int = 48,
        bottleneck: int = 4,
        block_layers: Sequence[int] = (6, 8, 8, 8),
        last_channels: int = 256,
        norm_cfg: ConfigType = dict(type='BN'),
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg or INIT_CFG)
        three, four = len(stem_channels) == 3, len(block_layers) == 4
        check_argument(three, 'DSODNet.stem_channels', 'three numbers', tuple(stem_channels))
        check_argument(four, 'DSODNet.block_layers', 'four numbers', tuple(block_layers))
        channels = 3
        stem: list[nn.Module] = []
        for index, width in enumerate(stem_channels):
            stride = 1 if index else 2
            stem.append(ConvModule(channels, width, 3, stride=stride, padding=1, norm_cfg=norm_cfg))
            channels = width
        self.stem = nn.Sequential(*stem, nn.MaxPool2d(2, ceil_mode=True))
        blocks, ends = [], []
        for index, num_layers in enumerate(block_layers):
            layers: list[nn.Module] = []
            for _ in range(num_layers):
                layers.append(DenseLayer(channels, growth_rate, bottleneck, norm_cfg))
                channels += growth_rate
            out = last_channels if index == 3 else channels
            layers.append(norm_first_conv(channels, out, 1, norm_cfg))
            channels = out
            blocks.append(nn.Sequential(*layers))
            ends.append(channels)
        self.blocks = nn.ModuleList(blocks)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        #: Channels of the two outputs: strides 8 and 16.
        self.out_channels = (ends[1], ends[3])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the two maps that :class:`DSODNeck` starts from.

        Args:
            x: Normalised images, shape (N, 3, H, W).

        Returns:
            The second block's map (N, ``out_channels[0]``, H / 8, W / 8) and the fourth's
            (N, ``out_channels[1]``, H / 16, W / 16); odd sizes are rounded up.
        """
        x = self.blocks[0](self.stem(x))
        fine = self.blocks[1](self.pool(x))
        return fine, self.blocks[3](self.blocks[2](self.pool(fine)))
