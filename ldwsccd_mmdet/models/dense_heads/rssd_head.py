"""SSD head whose classifier all levels share."""

from collections.abc import Sequence
from typing import Any

from mmdet.registry import MODELS
from torch import Tensor, nn

from ...errors import check_argument
from .ssd_student_head import SSDStudentHead


@MODELS.register_module()
class RSSDHead(SSDStudentHead):
    """Head of RSSD (Jeong et al., 2017, section 3.4): one classifier for all levels.

    Maps of :class:`RSSDNeck` have the same channels at every level, so that one 3x3 convolution
    makes the logits of all, and one the deltas: an object looks the same to it at any size. Losses,
    predictions and proposals are those of :class:`SSDStudentHead`, so that MIL refinement works on
    it.

    Args:
        num_classes: See :class:`SSDStudentHead`.
        in_channels: Channels of the neck's maps, all equal.
        **kwargs: As :class:`SSDStudentHead`; all levels have as many priors.

    Raises:
        ConfigError: If channels or numbers of priors differ.
    """

    def __init__(
        self,
        num_classes: Any = None,
        in_channels: Sequence[int] = (2816,) * 6,
        **kwargs: Any,
    ) -> None:
        equal = len(set(in_channels)) == 1
        check_argument(equal, 'RSSDHead.in_channels', 'equal numbers', tuple(in_channels))
        super().__init__(num_classes, in_channels=in_channels, **kwargs)

    def _init_layers(self) -> None:
        priors = self.num_base_priors
        check_argument(
            len(set(priors)) == 1,
            "RSSDHead.anchor_generator's priors a cell",
            'as many at every level',
            tuple(priors),
            'give every level the same ratios, [2, 3]',
        )
        channels = self.in_channels[0]
        self.cls_conv = nn.Conv2d(channels, priors[0] * self.cls_out_channels, 3, padding=1)
        self.reg_conv = nn.Conv2d(channels, priors[0] * 4, 3, padding=1)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute logits and deltas of each level, see ``SSDHead``."""
        return [self.cls_conv(level) for level in x], [self.reg_conv(level) for level in x]
