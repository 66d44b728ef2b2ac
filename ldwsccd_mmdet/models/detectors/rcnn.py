"""R-CNN: the whole network runs on every region."""

from typing import Any

from mmdet.registry import MODELS
from torch import Tensor

from .proposer_fast_rcnn import ProposerFastRCNN


@MODELS.register_module()
class RCNN(ProposerFastRCNN):
    """R-CNN (Girshick et al., CVPR 2014): regions, warped crops, a network on each.

    What the RoI head gets as map is the image; its :class:`WarpedRoIExtractor` cuts the regions out
    and runs backbone and neck on them. This detector is R-CNN's fine-tuned network, with a softmax;
    the machines and boxes of its second stage are :class:`SVMBBoxHead`.

    Args:
        *args: As :class:`ProposerFastRCNN`.
        **kwargs: As :class:`ProposerFastRCNN`; ``roi_head.bbox_roi_extractor`` is of type
            ``WarpedRoIExtractor``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # a method and no module: the weights stay below backbone.
        self.roi_head.bbox_roi_extractor.network = self.crop_features

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor]:
        """The images (N, 3, H, W) themselves."""
        return (batch_inputs,)

    def crop_features(self, crops: Tensor) -> Tensor:
        """The network's last map of crops (R, 3, s, s)."""
        return super().extract_feat(crops)[-1]
