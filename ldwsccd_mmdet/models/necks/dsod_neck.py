"""Dense prediction of DSOD: half of each map is learned, half comes from the finer one."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.necks.ssd_neck import L2Norm
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import check_argument
from ..backbones.dsod_net import INIT_CFG, norm_first_conv


class DensePrediction(BaseModule):
    r"""Make the next coarser map (Shen et al., 2017, figure 1, right).

    .. math::
        X_{l+1} = \mathrm{concat}\big(\mathrm{conv}_{1 \times 1}(\mathrm{pool}(X_l)),
        \mathrm{conv}_{3 \times 3, s2}(\mathrm{conv}_{1 \times 1}(X_l))\big)

    Args:
        in_channels: Channels of the map.
        half_channels: Channels of either half.
        norm_cfg: Norm layer.
    """

    def __init__(self, in_channels: int, half_channels: int, norm_cfg: ConfigType) -> None:
        super().__init__()
        self.passed = norm_first_conv(in_channels, half_channels, 1, norm_cfg)
        self.learned = nn.Sequential(
            norm_first_conv(in_channels, half_channels, 1, norm_cfg),
            norm_first_conv(half_channels, half_channels, 3, norm_cfg, stride=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the map, (N, C, H, W) to (N, 2 half, H / 2, W / 2), rounded up."""
        return torch.cat([self.passed(halve(x)), self.learned(x)], dim=1)


def halve(x: Tensor) -> Tensor:
    """Take the greatest of 2x2 cells; odd sizes are rounded up."""
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


@MODELS.register_module()
class DSODNeck(BaseModule):
    """Neck of DSOD (Shen et al., 2017, section 3.1, "dense prediction structure").

    The first map is the backbone's; the second lays the backbone's coarser one beside the first,
    pooled and projected; every further one is a :class:`DensePrediction` of the one before. As in
    the published code, each map is then scaled to an L2 norm of 20 over its channels, with one
    learned factor a channel. Priors and head of SSD stay as they are.

    Args:
        in_channels: Channels of the backbone's two maps, the finer first.
        half_channels: Of each level but the first, the channels of the half that comes from the
            finer map; the learned half has as many, and at the second level the backbone's.
        l2_norm_scale: Norm that each map starts with.
        norm_cfg: Norm layer.
        init_cfg: Initialisation; by default Xavier for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If there are not two maps, or no second level.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (800, 256),
        half_channels: Sequence[int] = (256, 256, 128, 128, 128),
        l2_norm_scale: float = 20.0,
        norm_cfg: ConfigType = dict(type='BN'),
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(
            init_cfg=init_cfg
            or [*INIT_CFG, dict(type='Constant', val=l2_norm_scale, layer='L2Norm')]
        )
        two = len(in_channels) == 2
        check_argument(two, 'DSODNeck.in_channels', 'two numbers', tuple(in_channels))
        check_argument(len(half_channels) >= 1, 'DSODNeck.half_channels', 'one or more', ())
        fine, coarse = in_channels
        self.passed = norm_first_conv(fine, half_channels[0], 1, norm_cfg)
        #: Channels of each map.
        self.out_channels = [fine, coarse + half_channels[0]]
        steps = []
        for half in half_channels[1:]:
            steps.append(DensePrediction(self.out_channels[-1], half, norm_cfg))
            self.out_channels.append(2 * half)
        self.steps = nn.ModuleList(steps)
        self.l2_norms = nn.ModuleList(L2Norm(channels) for channels in self.out_channels)
        norms: Iterable[Any] = self.l2_norms
        for norm in norms:
            nn.init.constant_(norm.weight, l2_norm_scale)  # mmdet leaves it as memory was

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            inputs: The backbone's maps (N, C_1, H, W) and (N, C_2, H / 2, W / 2), rounded up.

        Returns:
            Maps (N, ``out_channels[l]``, H_l, W_l), each half as large as the one before.
        """
        fine, coarse = inputs
        maps = [fine, torch.cat([coarse, self.passed(halve(fine))], dim=1)]
        for step in self.steps:
            maps.append(step(maps[-1]))
        return tuple(norm(x) for norm, x in zip(self.l2_norms, maps, strict=True))
