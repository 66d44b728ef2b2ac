"""SSD head with the prediction modules of DSSD."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from .ssd_student_head import SSDStudentHead


class PredictionModule(BaseModule):
    """Residual block before the predictions of a level (Fu et al., 2017, figure 2c).

    Two 1x1 convolutions with ReLU and a third, plus a 1x1 convolution of the map itself.

    Args:
        in_channels: Channels of the map.
        hidden_channels: Channels between the convolutions.
        out_channels: Channels of the result.
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, hidden_channels, 1)
        self.conv2 = nn.Conv2d(hidden_channels, hidden_channels, 1)
        self.conv3 = nn.Conv2d(hidden_channels, out_channels, 1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block, (N, in, H, W) to (N, out, H, W)."""
        hidden = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.relu(self.conv3(hidden) + self.skip(x))


@MODELS.register_module()
class DSSDHead(SSDStudentHead):
    """Head of DSSD (Fu et al., 2017): :class:`SSDStudentHead` behind a prediction module a level.

    Losses, predictions and proposals are those of :class:`SSDStudentHead`, so that MIL refinement
    works on it. Distillation and MIL see the neck's maps, before the modules.

    Args:
        num_classes: See :class:`SSDStudentHead`.
        in_channels: Channels of the neck's maps.
        module_channels: Channels within and behind a prediction module.
        **kwargs: As :class:`SSDStudentHead`.
    """

    def __init__(
        self,
        num_classes: Any = None,
        in_channels: Sequence[int] = (512, 512, 512, 512, 512, 512, 512),
        module_channels: tuple[int, int] = (256, 1024),
        **kwargs: Any,
    ) -> None:
        hidden, out = module_channels
        super().__init__(num_classes, in_channels=(out,) * len(in_channels), **kwargs)
        self.prediction_modules = nn.ModuleList(
            PredictionModule(channels, hidden, out) for channels in in_channels
        )

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute logits and deltas of each level, see ``SSDHead``."""
        return super().forward(
            [module(level) for module, level in zip(self.prediction_modules, x, strict=True)]
        )
