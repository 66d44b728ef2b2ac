"""Weighted pyramid of both directions, the neck of EfficientDet."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import check_argument

#: Norm layer of EfficientDet.
NORM_CFG = dict(type='BN', momentum=0.01, eps=1e-3)


class SeparableConv(BaseModule):
    """A 3x3 convolution a channel without bias, then a 1x1 one with bias, and a norm layer.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the result.
        norm_cfg: Norm layer; None for none.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: OptConfigType = None) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.norm = None
        if norm_cfg is not None:
            self.norm = build_norm_layer(dict(norm_cfg), out_channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Compute it, (N, in, H, W) to (N, out, H, W)."""
        x = self.pointwise(self.depthwise(x))
        return x if self.norm is None else self.norm(x)


def fast_normalised_fusion(inputs: Sequence[Tensor], weight: Tensor, eps: float = 1e-4) -> Tensor:
    r"""Add maps with learned weights (Tan et al., 2020, section 3.3).

    .. math::
        O = \sum_i \frac{w_i}{\epsilon + \sum_j w_j} I_i, \qquad w_i = \mathrm{ReLU}(v_i)

    Args:
        inputs: k maps (N, C, H, W).
        weight: The v, (k,); below 0 a map is left out. Where all are, the sum is 0.
        eps: :math:`\epsilon`.

    Returns:
        (N, C, H, W).
    """
    weight = F.relu(weight)
    shares = (weight / (weight.sum() + eps)).unbind()
    out = shares[0] * inputs[0]
    for share, x in zip(shares[1:], inputs[1:], strict=True):
        out = out + share * x
    return out


class BiFPNCell(BaseModule):
    r"""One pass from coarse to fine and one back (Tan et al., 2020, figure 2d).

    With maps :math:`P_l`, the finest first, R to the size of the map beside (nearest neighbour to
    finer ones, 3x3 max pooling of stride 2 to coarser ones) and the fusion as
    :func:`fast_normalised_fusion`:

    .. math::
        P_l^{td} = \mathrm{conv}\big(a(\mathrm{fuse}(P_l, R(P_{l+1}^{td})))\big), \qquad
        P_l^{out} = \mathrm{conv}\big(a(\mathrm{fuse}(P_l, P_l^{td}, R(P_{l-1}^{out})))\big)

    The coarsest map has no :math:`P^{td}` but itself, and the finest has :math:`P^{td}` as its
    result: nodes of one input are left out.

    Args:
        channels: Channels of every map.
        num_levels: Maps, two or more.
        norm_cfg: Norm layer.
        act_cfg: Activation a.
    """

    def __init__(
        self, channels: int, num_levels: int, norm_cfg: ConfigType, act_cfg: ConfigType
    ) -> None:
        super().__init__()
        steps = num_levels - 1
        self.act = build_activation_layer(dict(act_cfg))
        #: From the second coarsest to the finest; of each its own map and the coarser one.
        self.td_weights = nn.ParameterList(nn.Parameter(torch.ones(2)) for _ in range(steps))
        self.td_convs = nn.ModuleList(
            SeparableConv(channels, channels, norm_cfg) for _ in range(steps)
        )
        #: From the second finest to the coarsest; of each its own map, P^td and the finer one.
        self.bu_weights = nn.ParameterList(
            nn.Parameter(torch.ones(3 if step < steps - 1 else 2)) for step in range(steps)
        )
        self.bu_convs = nn.ModuleList(
            SeparableConv(channels, channels, norm_cfg) for _ in range(steps)
        )

    def forward(self, inputs: Sequence[Tensor], again: Sequence[Tensor]) -> list[Tensor]:
        """Compute the cell.

        Args:
            inputs: Maps (N, C, H_l, W_l), the finest first, for the pass to finer maps.
            again: The same for the pass back: in the first cell they have projections of their
                own.

        Returns:
            Maps of the same shapes.
        """
        passed = [inputs[-1]]  # the finest last
        for own, weight, conv in zip(
            reversed(inputs[:-1]), self.td_weights, self.td_convs, strict=True
        ):
            coarse = F.interpolate(passed[-1], size=own.shape[-2:], mode='nearest')
            passed.append(conv(self.act(fast_normalised_fusion([own, coarse], weight))))
        outs = [passed.pop()]
        for own, weight, conv in zip(again[1:], self.bu_weights, self.bu_convs, strict=True):
            fine = F.max_pool2d(outs[-1], 3, stride=2, padding=1)
            # the coarsest map's own pass is the map itself
            maps = [own, fine] if len(weight) == 2 else [own, passed.pop(), fine]
            outs.append(conv(self.act(fast_normalised_fusion(maps, weight))))
        return outs


@MODELS.register_module()
class BiFPN(BaseModule):
    """Neck of EfficientDet (Tan et al., 2020, section 3): :class:`BiFPNCell` several times.

    The backbone's maps get one number of channels by 1x1 convolutions with a norm layer; those
    that the first cell uses twice, all but the finest and the added ones, get two. The first added
    level is a projection of the backbone's last map, then each a 3x3 max pooling of stride 2 of
    the one before. The paper scales width and depth of all models by one factor (table 1): see
    ``configs/efficientdet``.

    Args:
        in_channels: Channels of the backbone's maps, the finest first, each half as large as the
            one before, rounded up.
        out_channels: Channels of every map, W_bifpn.
        num_cells: Cells, D_bifpn.
        num_outs: Maps, at least as many as the backbone's.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        init_cfg: Initialisation; by default Xavier for convolutions.

    Raises:
        ConfigError: If there is no cell, or fewer maps than the backbone has, or fewer than two.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (40, 112, 320),
        out_channels: int = 64,
        num_cells: int = 3,
        num_outs: int = 5,
        norm_cfg: ConfigType = NORM_CFG,
        act_cfg: ConfigType = dict(type='Swish'),
        init_cfg: OptMultiConfig = dict(type='Xavier', distribution='uniform', layer='Conv2d'),
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_argument(num_cells >= 1, 'BiFPN.num_cells', '1 or more', num_cells)
        least = max(2, len(in_channels))
        check_argument(num_outs >= least, 'BiFPN.num_outs', f'{least} or more', num_outs)
        self.num_added = num_outs - len(in_channels)

        def project(channels: int) -> ConvModule:
            return ConvModule(channels, out_channels, 1, bias=True, norm_cfg=norm_cfg, act_cfg=None)

        self.laterals = nn.ModuleList(project(channels) for channels in in_channels)
        #: Of all maps but the finest, for the way back.
        self.second_laterals = nn.ModuleList(project(channels) for channels in in_channels[1:])
        if self.num_added:
            self.added = project(in_channels[-1])
        self.cells = nn.ModuleList(
            BiFPNCell(out_channels, num_outs, norm_cfg, act_cfg) for _ in range(num_cells)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            inputs: The backbone's maps (N, C_l, H_l, W_l), the finest first.

        Returns:
            ``num_outs`` maps (N, ``out_channels``, H_l, W_l).
        """
        maps = [lateral(x) for lateral, x in zip(self.laterals, inputs, strict=True)]
        again = maps[:1] + [
            lateral(x) for lateral, x in zip(self.second_laterals, inputs[1:], strict=True)
        ]
        for index in range(self.num_added):
            x = maps[-1] if index else self.added(inputs[-1])
            maps.append(F.max_pool2d(x, 3, stride=2, padding=1))
        again += maps[len(again) :]
        for cell in self.cells:
            maps = again = cell(maps, again)
        return tuple(maps)
