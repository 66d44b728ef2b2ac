"""Passthrough of YOLOv2: the finer map laid in the channels of the coarser one."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import check_argument
from ..backbones.staged_backbone import INIT_CFG


def reorg(x: Tensor, stride: int = 2) -> Tensor:
    """Lay the cells of a map into its channels, as Darknet's ``[reorg]`` layer does.

    The paper says that neighbouring cells are stacked in the channels. Darknet, and with it every
    published weight, does so after it has read the map's memory as one of C / s^2 channels and s
    times the size. With ``c = k mod C/s^2`` and ``o = k div C/s^2``, channel k of the result, still
    of the map's size, is ``y[k, j, i] = m[c, s j + o div s, s i + o mod s]``, where m is the memory
    so read; the result's memory is then read as one of C s^2 channels and 1 / s of the size.

    Args:
        x: Map (N, C, H, W); C a multiple of s^2, H and W of s.
        stride: s.

    Returns:
        (N, C s^2, H / s, W / s).
    """
    n, channels, height, width = x.shape
    s = stride
    parts = x.reshape(n, channels // s**2, height, s, width, s).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, channels * s**2, height // s, width // s)


@MODELS.register_module()
class YOLOv2Neck(BaseModule):
    """Neck of YOLOv2 (Redmon and Farhadi, 2017, section 2), as in the published ``yolov2.cfg``.

    Two 3x3 convolutions on the coarser map; a 1x1 convolution and :func:`reorg` on the finer one,
    of half its stride; both side by side, the finer one first, and a last 3x3 convolution.

    Args:
        in_channels: Channels of the backbone's two maps, the finer first.
        out_channels: Channels of every 3x3 convolution.
        passthrough_channels: Channels of the 1x1 convolution, a multiple of 4.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        init_cfg: Initialisation; by default Kaiming for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If there are not two maps, or the channels are no multiple of 4.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (512, 1024),
        out_channels: int = 1024,
        passthrough_channels: int = 64,
        norm_cfg: ConfigType = dict(type='BN'),
        act_cfg: ConfigType = dict(type='LeakyReLU', negative_slope=0.1),
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg or INIT_CFG)
        two = len(in_channels) == 2
        check_argument(two, 'YOLOv2Neck.in_channels', 'two numbers', tuple(in_channels))
        check_argument(
            passthrough_channels % 4 == 0,
            'YOLOv2Neck.passthrough_channels',
            'a multiple of 4',
            passthrough_channels,
        )
        cfg = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        # modules are registered in the order in which Darknet stores their weights
        self.conv1 = ConvModule(in_channels[1], out_channels, 3, padding=1, **cfg)
        self.conv2 = ConvModule(out_channels, out_channels, 3, padding=1, **cfg)
        self.passthrough = ConvModule(in_channels[0], passthrough_channels, 1, **cfg)
        self.fuse = ConvModule(
            4 * passthrough_channels + out_channels, out_channels, 3, padding=1, **cfg
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Compute the one map.

        Args:
            inputs: Maps (N, C_1, 2 H, 2 W) and (N, C_2, H, W).

        Returns:
            One map (N, ``out_channels``, H, W).

        Raises:
            ConfigError: The finer map is not twice as large, since images are no multiple of the
                coarser stride.
        """
        fine, coarse = inputs
        twice = (2 * coarse.shape[-2], 2 * coarse.shape[-1])
        check_argument(
            tuple(fine.shape[-2:]) == twice,
            "size of YOLOv2Neck's finer map",
            f'twice that of the coarser one, {twice}',
            tuple(fine.shape[-2:]),
            'set model.data_preprocessor.pad_size_divisor to 32',
        )
        deep = self.conv2(self.conv1(coarse))
        return (self.fuse(torch.cat([reorg(self.passthrough(fine)), deep], dim=1)),)
