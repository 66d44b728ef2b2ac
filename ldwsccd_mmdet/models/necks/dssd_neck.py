"""Deconvolution path of DSSD over SSD's maps."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.necks import SSDNeck
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import check_argument
from ..utils import no_autocast

JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {'product': torch.mul, 'sum': torch.add}


class DeconvolutionModule(BaseModule):
    r"""Join a coarse map and a finer one of SSD (Fu et al., 2017, figure 3).

    .. math::
        \mathrm{ReLU}\big(\mathrm{BN}(\mathrm{conv}(\mathrm{deconv}(x_{coarse}))) \odot
        \mathrm{BN}(\mathrm{conv}(\mathrm{ReLU}(\mathrm{BN}(\mathrm{conv}(x_{ssd})))))\big)

    with 3x3 convolutions, a 2x2 deconvolution of stride 2 and the element-wise product, or in its
    place the sum, which the paper compares it with.

    Args:
        coarse_channels: Channels of the coarse map.
        ssd_channels: Channels of SSD's map.
        out_channels: Channels of the result.
        norm_cfg: Norm layer.
        join: ``'product'`` or ``'sum'``.
    """

    def __init__(
        self,
        coarse_channels: int,
        ssd_channels: int,
        out_channels: int,
        norm_cfg: ConfigType,
        join: str = 'product',
    ) -> None:
        super().__init__()
        self.join = JOINS[join]
        self.deconv = nn.ConvTranspose2d(coarse_channels, out_channels, 2, stride=2)
        self.coarse_conv = ConvModule(
            out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None
        )
        self.ssd_convs = nn.Sequential(
            ConvModule(ssd_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg),
            ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None),
        )

    def forward(self, coarse: Tensor, ssd: Tensor) -> Tensor:
        """Join (N, C, h, w) and (N, C', H, W) to (N, out, H, W).

        Where H is not 2 h (300 px: 1, 3, 5, 10, 19, 38), the enlarged map is interpolated to H.
        """
        x = self.deconv(coarse)
        if x.shape[-2:] != ssd.shape[-2:]:
            x = F.interpolate(x, size=ssd.shape[-2:], mode='bilinear', align_corners=False)
        return F.relu(self.join(self.coarse_conv(x), self.ssd_convs(ssd)))


@MODELS.register_module()
class DSSDNeck(SSDNeck):
    """Neck of DSSD (Fu et al., 2017): SSD's maps, then deconvolutions back from coarse to fine.

    The coarsest map only gets its channels, by a 1x1 convolution with ReLU; every other level is a
    :class:`DeconvolutionModule` of the coarser result and SSD's map. The sizes of the maps are
    SSD's, so that its priors stay. SSD's part has the state dict of mmdet's ``SSDNeck``: DSSD can
    start from a trained SSD, as in the paper. :class:`DSSDHead` has the prediction modules. Under
    autocast the deconvolution modules stay in float32.

    Args:
        *args: As ``SSDNeck``.
        out_channels: As ``SSDNeck``: channels of SSD's maps.
        deconv_channels: Channels of every result.
        deconv_norm_cfg: Norm layer of the deconvolution modules.
        join: How a deconvolution module joins its two maps: ``'product'``, the paper's choice over
            a trained SSD, or ``'sum'``. From scratch take the sum: products of maps that say
            nothing yet hardly learn (docs/results.md, small baselines).
        **kwargs: As ``SSDNeck``.

    Raises:
        ConfigError: If ``join`` is neither.
    """

    def __init__(
        self,
        *args: Any,
        out_channels: Sequence[int],
        deconv_channels: int = 512,
        deconv_norm_cfg: ConfigType = dict(type='BN'),
        join: str = 'product',
        **kwargs: Any,
    ) -> None:
        check_argument(join in JOINS, 'DSSDNeck.join', "'product' or 'sum'", join)
        super().__init__(*args, out_channels=out_channels, **kwargs)
        self.top = nn.Conv2d(out_channels[-1], deconv_channels, 1)
        #: From coarse to fine.
        self.deconvs = nn.ModuleList(
            DeconvolutionModule(deconv_channels, channels, deconv_channels, deconv_norm_cfg, join)
            for channels in reversed(out_channels[:-1])
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            inputs: The backbone's maps (N, C_i, H_i, W_i), the finest first.

        Returns:
            Maps (N, ``deconv_channels``, H_l, W_l), the finest first.
        """
        # rounding to bfloat16 would add up from module to module
        maps = [x.to(self.top.weight.dtype) for x in super().forward(inputs)]
        with no_autocast(inputs[0]):
            *finer, coarsest = maps
            outs = [F.relu(self.top(coarsest))]
            for module, ssd in zip(self.deconvs, reversed(finer), strict=True):
                outs.append(module(outs[-1], ssd))
        return tuple(reversed(outs))
