"""Several seeds a class: the best share of the regions."""

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ....errors import check_argument
from .threshold_seeds import ThresholdSeeds


@TASK_UTILS.register_module()
class MISTSeeds(ThresholdSeeds):
    """The best 15 % of an image's regions, after NMS (Ren et al., MIST, CVPR 2020).

    As published the choice knows no score threshold: in an image of 2000 regions 300 stand for each
    class before NMS. Beyond the print, a class's best region is its own, as in :class:`TopSeeds`.

    Args:
        fraction: Share of the image's regions, rounded up, in (0, 1].
        nms_iou: Seeds of one class overlap each other by at most this IoU, in [0, 1].

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, fraction: float = 0.15, nms_iou: float = 0.2) -> None:
        super().__init__(nms_iou=nms_iou)
        check_argument(0 < fraction <= 1, 'MISTSeeds.fraction', 'a number in (0, 1]', fraction)
        self.fraction = fraction
        self.relative_thr = 0.0

    def _num_ranks(self, num_regions: Tensor) -> Tensor:
        # float64: 0.15 x 20 must be 3, not a hair more that rounds up to 4
        return torch.ceil(num_regions.double() * self.fraction - 1e-9).long()
