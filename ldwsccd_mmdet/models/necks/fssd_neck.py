"""Fused feature pyramid of FSSD."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import check_argument


@MODELS.register_module()
class FSSDNeck(BaseModule):
    r"""Neck of FSSD (Li and Zhou, 2017): one fused map, and a pyramid made of it.

    .. math::
        X_f = \mathrm{BN}(\mathrm{concat}_i \, T_i(X_i)), \qquad
        X'_1 = \mathrm{conv}_1(X_f), \quad X'_l = \mathrm{conv}_l(X'_{l-1})

    The sources :math:`X_i` are conv4_3, fc7 and a map of stride 32 (the paper's conv7_2, made here
    by 1x1 and 3x3 convolutions); :math:`T_i` is a 1x1 convolution, then bilinear interpolation to
    the size of the first source. All pyramid convolutions are 3x3 with ReLU, the first of stride 1.

    It takes the two maps of :class:`ScaledSSDVGG`, and gives maps of the sizes that mmdet's
    ``SSDNeck`` gives, so that priors and head of SSD stay as they are.

    Args:
        in_channels: Channels of the backbone's maps, the finest first.
        out_channels: Channels of each level.
        level_strides: Stride of the convolution that makes each level but the first.
        level_paddings: Its padding.
        last_kernel_size: Kernel size of the last of them; SSD512's is 4.
        source_channels: Channels of the source that is made from the last map.
        fusion_channels: Channels that each source brings to the fused map.
        norm_cfg: Norm layer of the convolutions; the paper has none.
        fusion_norm_cfg: Norm layer of the fused map.
        act_cfg: Activation.
        init_cfg: Initialisation; by default Xavier for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If the lists differ in length.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (512, 1024),
        out_channels: Sequence[int] = (512, 512, 256, 256, 256, 256, 256),
        level_strides: Sequence[int] = (2, 2, 2, 2, 2, 1),
        level_paddings: Sequence[int] = (1, 1, 1, 1, 1, 1),
        last_kernel_size: int = 4,
        source_channels: int = 512,
        fusion_channels: int = 256,
        norm_cfg: OptConfigType = None,
        fusion_norm_cfg: ConfigType = dict(type='BN'),
        act_cfg: ConfigType = dict(type='ReLU'),
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='Xavier', distribution='uniform', layer='Conv2d'),
                dict(type='Constant', val=1, layer='_BatchNorm'),
            ]
        super().__init__(init_cfg=init_cfg)
        num_steps = len(out_channels) - 1
        check_argument(
            num_steps == len(level_strides) == len(level_paddings),
            'FSSDNeck.level_strides and level_paddings',
            f'one number for each level but the first, {num_steps}',
            (tuple(level_strides), tuple(level_paddings)),
        )
        cfg = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.extra = nn.Sequential(
            ConvModule(in_channels[-1], source_channels // 2, 1, **cfg),
            ConvModule(source_channels // 2, source_channels, 3, stride=2, padding=1, **cfg),
        )
        sources = (*in_channels, source_channels)
        self.transforms = nn.ModuleList(
            ConvModule(channels, fusion_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
            for channels in sources
        )
        fused = fusion_channels * len(sources)
        self.fusion_norm = build_norm_layer(dict(fusion_norm_cfg), fused)[1]
        kernel_sizes = (*[3] * num_steps, last_kernel_size)
        self.pyramid = nn.ModuleList(
            ConvModule(before, after, kernel_size, stride=stride, padding=padding, **cfg)
            for before, after, kernel_size, stride, padding in zip(
                (fused, *out_channels[:-1]),
                out_channels,
                kernel_sizes,
                (1, *level_strides),
                (1, *level_paddings),
                strict=True,
            )
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            inputs: The backbone's maps (N, C_i, H_i, W_i), the finest first.

        Returns:
            Maps (N, ``out_channels[l]``, H_l, W_l), the first of the size of ``inputs[0]``.
        """
        size = inputs[0].shape[-2:]
        sources = [*inputs, self.extra(inputs[-1])]
        moved = [
            F.interpolate(transform(x), size=size, mode='bilinear', align_corners=False)
            for transform, x in zip(self.transforms, sources, strict=True)
        ]
        x = self.fusion_norm(torch.cat(moved, dim=1))
        outs = []
        for conv in self.pyramid:
            x = conv(x)
            outs.append(x)
        return tuple(outs)
