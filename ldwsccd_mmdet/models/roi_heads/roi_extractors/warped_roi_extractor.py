"""R-CNN's way to the features of a region: warp it, and run the network on it."""

from collections.abc import Callable
from typing import Any

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor

from ....errors import check_argument


@MODELS.register_module()
class WarpedRoIExtractor(SingleRoIExtractor):
    """Cuts regions out of the image, warps each to a square, and gives what a network makes of it.

    A region is first widened so that in the warped square ``context`` pixels lie around it on each
    side (Girshick et al., CVPR 2014, appendix A). What lies outside the image is 0, the mean colour
    of the data.

    Args:
        output_size: Side of the squares, pixels; the paper's is 227, with 16 px of context.
        context: Pixels of it around the region, in [0, output_size / 2).
        out_channels: Channels of the network's map.

    Attributes:
        network: From squares (R, 3, s, s) to their map, set by :class:`RCNN`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, output_size: int = 227, context: int = 16, out_channels: int = 256) -> None:
        key = 'WarpedRoIExtractor.context'
        fine = 0 <= context < output_size / 2
        check_argument(fine, key, f'pixels in [0, output_size / 2 = {output_size / 2:g})', context)
        super().__init__(
            roi_layer=dict(type='RoIAlign', output_size=output_size, sampling_ratio=1),
            out_channels=out_channels,
            featmap_strides=[1],
        )
        self.widen = output_size / (output_size - 2 * context)
        self.network: Callable[[Tensor], Tensor] | None = None

    def squares(self, image: Tensor, rois: Tensor) -> Tensor:
        """Warp regions.

        Args:
            image: Normalised images (N, 3, H, W).
            rois: (R, 5): index of the image, and x1, y1, x2, y2 in pixels.

        Returns:
            (R, 3, s, s), float32.
        """
        centre, half = (rois[:, 1:3] + rois[:, 3:]) / 2, (rois[:, 3:] - rois[:, 1:3]) / 2
        half = half * self.widen
        wide = torch.cat([rois[:, :1], centre - half, centre + half], dim=1)
        return self.roi_layers[0](image.float().contiguous(), wide.float())

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, *args: Any) -> Tensor:
        """The network's map of each region, (R, out_channels, h, w)."""
        assert self.network is not None, 'a detector of type RCNN gives the network'
        return self.network(self.squares(feats[0], rois))
