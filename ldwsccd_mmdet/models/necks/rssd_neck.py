"""Rainbow concatenation of RSSD."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmdet.models.necks import SSDNeck
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import Tensor, nn


@MODELS.register_module()
class RSSDNeck(SSDNeck):
    r"""Neck of RSSD (Jeong et al., 2017, section 3.3): every map laid beside all the others.

    .. math::
        X'_l = \mathrm{concat}\big(\mathrm{BN}(P^{l-1} X_1), \dots, \mathrm{BN}(X_l), \dots,
        \mathrm{BN}(D^{L-l} X_L)\big)

    where P is a max pooling to the size of the next coarser of SSD's maps, and D a 2x2
    deconvolution of stride 2 that keeps the channels, each with weights of its own. Maps without a
    norm layer would differ in scale by more than a classifier makes good, says the paper. All
    results have the same channels, the sum of SSD's (2816 for SSD300 and VGG16), so that one
    classifier may serve all: :class:`RSSDHead`. The sizes of the maps are SSD's, so that its
    priors stay; where a deconvolution does not meet them (300 px: 1, 3, 5, 10, 19, 38), its map is
    interpolated. SSD's part has the state dict of mmdet's ``SSDNeck``.

    The paper prints neither the kernel of its deconvolutions nor whether one that goes on to finer
    maps starts anew: here it goes on from its last result.

    Args:
        *args: As ``SSDNeck``.
        out_channels: As ``SSDNeck``: channels of SSD's maps.
        rainbow_norm_cfg: Norm layer before the concatenation.
        **kwargs: As ``SSDNeck``.
    """

    def __init__(
        self,
        *args: Any,
        out_channels: Sequence[int],
        rainbow_norm_cfg: ConfigType = dict(type='BN'),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, out_channels=out_channels, **kwargs)
        #: Of each of SSD's maps its deconvolutions, from the next finer level to the finest.
        self.deconvs = nn.ModuleList(
            nn.ModuleList(nn.ConvTranspose2d(width, width, 2, stride=2) for _ in range(source))
            for source, width in enumerate(out_channels)
        )
        #: Of each level the norm layers of all of SSD's maps.
        self.norms = nn.ModuleList(
            nn.ModuleList(build_norm_layer(dict(rainbow_norm_cfg), c)[1] for c in out_channels)
            for _ in out_channels
        )
        #: Channels of every result.
        self.rainbow_channels = sum(out_channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            inputs: The backbone's maps (N, C_i, H_i, W_i), the finest first.

        Returns:
            Maps (N, ``rainbow_channels``, H_l, W_l), the finest first.
        """
        maps = super().forward(inputs)
        levels: list[list[Tensor]] = [[] for _ in maps]
        deconvs: Iterable[Any] = self.deconvs
        by_level: list[Any] = list(self.norms)
        norms = zip(*by_level, strict=True)  # by source
        for source, (steps, own_norms) in enumerate(zip(deconvs, norms, strict=True)):
            spread = self._spread(maps, source, steps)
            for parts, norm, x in zip(levels, own_norms, spread, strict=True):
                parts.append(norm(x))
        return tuple(torch.cat(parts, dim=1) for parts in levels)

    @staticmethod
    def _spread(maps: Sequence[Tensor], source: int, steps: Iterable[Any]) -> list[Tensor]:
        """Bring one map to the size of every level: deconvolved to finer, pooled to coarser."""
        spread = [maps[source]]
        for step, like in zip(steps, reversed(maps[:source]), strict=True):
            x, size = step(spread[0]), like.shape[-2:]
            if x.shape[-2:] != size:
                x = F.interpolate(x, size=size, mode='bilinear', align_corners=False)
            spread.insert(0, x)
        for like in maps[source + 1 :]:
            spread.append(F.adaptive_max_pool2d(spread[-1], like.shape[-2:]))
        return spread
