"""Spatial pyramid pooling and path aggregation, the neck of YOLOv4."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import check_argument


def _alternating_convs(
    in_channels: int, channels: int, num_convs: int, norm_cfg: ConfigType, act_cfg: ConfigType
) -> nn.Sequential:
    """1x1 to ``channels``, 3x3 to twice as many, and so on."""
    layers = []
    for index in range(num_convs):
        kernel_size, out_channels = (1, channels) if index % 2 == 0 else (3, 2 * channels)
        layers.append(
            ConvModule(
                in_channels,
                out_channels,
                kernel_size,
                padding=kernel_size // 2,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )
        )
        in_channels = out_channels
    return nn.Sequential(*layers)


@MODELS.register_module()
class YOLOv4Neck(BaseModule):
    """Neck of YOLOv4 (Bochkovskiy et al., 2020): SPP on the coarsest map, then PAN.

    - SPP (He et al., 2015): the map beside its own max poolings of stride 1, so that a cell sees
      what lies up to ``max(spp_kernels) // 2`` cells away.
    - PAN (Liu et al., 2018): a path from coarse to fine maps, and one back. YOLOv4 concatenates
      where PANet adds.

    Layers and their order are those of the published ``yolov4.cfg``, up to the 3x3 convolution
    before each prediction, which belongs to the head. Any number of levels from two on will do.

    Args:
        in_channels: Channels of the backbone's maps, the finest first.
        out_channels: Channels of the neck's maps, the finest first.
        spp_kernels: Sizes of the max poolings, odd.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        init_cfg: Initialisation; by default Kaiming for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If the lists differ in length or have less than two levels, or a pooling size
            is even.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 512, 1024),
        out_channels: Sequence[int] = (128, 256, 512),
        spp_kernels: Sequence[int] = (5, 9, 13),
        norm_cfg: ConfigType = dict(type='BN'),
        act_cfg: ConfigType = dict(type='LeakyReLU', negative_slope=0.1),
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d', a=0.1),
                dict(type='Constant', val=1, layer='_BatchNorm'),
            ]
        super().__init__(init_cfg=init_cfg)
        check_argument(
            len(in_channels) == len(out_channels) >= 2,
            'YOLOv4Neck.in_channels and out_channels',
            'one number a level each, for two levels or more',
            (tuple(in_channels), tuple(out_channels)),
        )
        odd = all(kernel % 2 for kernel in spp_kernels)
        check_argument(odd, 'YOLOv4Neck.spp_kernels', 'odd numbers', tuple(spp_kernels))
        cfg = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        top = out_channels[-1]
        # modules are registered in the order in which Darknet stores their weights
        self.pre_spp = _alternating_convs(in_channels[-1], top, 3, **cfg)
        self.poolings = nn.ModuleList(
            nn.MaxPool2d(kernel, stride=1, padding=kernel // 2)
            for kernel in sorted(spp_kernels, reverse=True)
        )
        self.post_spp = _alternating_convs(top * (len(spp_kernels) + 1), top, 3, **cfg)
        #: From coarse to fine: ``reduce`` the coarser map, ``lateral`` of the backbone's, ``fuse``.
        self.top_down = nn.ModuleList()
        for level in range(len(out_channels) - 2, -1, -1):
            width = out_channels[level]
            step = nn.ModuleDict()
            step['reduce'] = ConvModule(out_channels[level + 1], width, 1, **cfg)
            step['lateral'] = ConvModule(in_channels[level], width, 1, **cfg)
            step['fuse'] = _alternating_convs(2 * width, width, 5, **cfg)
            self.top_down.append(step)
        #: From fine to coarse: ``down`` halves the finer map, ``fuse``.
        self.bottom_up = nn.ModuleList()
        for level in range(1, len(out_channels)):
            width = out_channels[level]
            step = nn.ModuleDict()
            step['down'] = ConvModule(out_channels[level - 1], width, 3, stride=2, padding=1, **cfg)
            step['fuse'] = _alternating_convs(2 * width, width, 5, **cfg)
            self.bottom_up.append(step)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            inputs: The backbone's maps (N, C_l, H_l, W_l), the finest first, each half as large as
                the one before, rounded up.

        Returns:
            Maps (N, ``out_channels[l]``, H_l, W_l).
        """
        x = self.pre_spp(inputs[-1])
        x = self.post_spp(torch.cat([*(pooling(x) for pooling in self.poolings), x], dim=1))
        maps = [x]  # the finest last
        top_down: Iterable[Any] = self.top_down
        for step, lateral in zip(top_down, reversed(inputs[:-1]), strict=True):
            x = F.interpolate(step['reduce'](x), size=lateral.shape[-2:], mode='nearest')
            x = step['fuse'](torch.cat([step['lateral'](lateral), x], dim=1))
            maps.append(x)
        outs = [maps.pop()]
        bottom_up: Iterable[Any] = self.bottom_up
        for step in bottom_up:
            down = step['down'](outs[-1])
            outs.append(step['fuse'](torch.cat([down, maps.pop()], dim=1)))
        return tuple(outs)
