"""Spatial pyramid pooling of SPP-Net as a RoI layer."""

from collections.abc import Sequence

import torch
from mmcv.ops import RoIPool
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import Tensor, nn

from ....errors import check_argument


@MODELS.register_module()
class SpatialPyramidPool(nn.Module):
    r"""Give every region as many numbers, however large it is (He et al., 2015, section 2.2).

    The region is laid out in grids of :math:`n \times n` bins, one grid for each n; a bin has the
    greatest value of its cells. All bins are put in one row, grid after grid and row after row:

    .. math::
        y_{c, n, i, j} = \max_{(u, v) \in bin_{n, i, j}} x_{c, u, v}

    The bins are those of ``RoIPool`` (Girshick, 2015), which took them from here and kept one grid.

    Args:
        pyramid: The n; the paper's for detection is 6, 3, 2 and 1, 50 bins.
        spatial_scale: Cells of the map for a pixel of the image.

    Attributes:
        output_size: Bins and 1: what a bbox head has as ``roi_feat_size``.

    Raises:
        ConfigError: If a grid has no bin, or there is no grid.
    """

    def __init__(self, pyramid: Sequence[int] = (6, 3, 2, 1), spatial_scale: float = 1.0) -> None:
        super().__init__()
        right = len(pyramid) > 0 and min(pyramid) >= 1
        expected = 'one or more numbers of 1 or more'
        check_argument(right, 'SpatialPyramidPool.pyramid', expected, tuple(pyramid))
        self.pools = nn.ModuleList(RoIPool(bins, spatial_scale) for bins in pyramid)
        self.output_size = (sum(bins**2 for bins in pyramid), 1)

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        """Pool regions.

        Args:
            x: Map (N, C, H, W).
            rois: (R, 5): index of the image, and x1, y1, x2, y2 in pixels of the batch tensor.

        Returns:
            (R, C, bins, 1).
        """
        parts = [pool(x, rois).flatten(2) for pool in self.pools]
        return torch.cat(parts, dim=2)[..., None]


@MODELS.register_module()
class SPPRoIExtractor(SingleRoIExtractor):
    """RoI extractor whose layer is :class:`SpatialPyramidPool`, for any RoI head.

    mmdet builds RoI layers by their names in ``mmcv.ops`` only; the rest is
    ``SingleRoIExtractor``. A bbox head behind it has ``roi_feat_size=(50, 1)`` for the pyramid 6,
    3, 2, 1.

    Args:
        pyramid: See :class:`SpatialPyramidPool`.
        out_channels: Channels of the maps.
        featmap_strides: Strides of the maps.
        **kwargs: As ``SingleRoIExtractor``.
    """

    def __init__(
        self,
        out_channels: int,
        featmap_strides: Sequence[int],
        pyramid: Sequence[int] = (6, 3, 2, 1),
        **kwargs: int,
    ) -> None:
        super().__init__(
            roi_layer=dict(type='SpatialPyramidPool', pyramid=pyramid),
            out_channels=out_channels,
            featmap_strides=featmap_strides,
            **kwargs,
        )

    def build_roi_layers(
        self, layer_cfg: ConfigType, featmap_strides: Sequence[int]
    ) -> nn.ModuleList:
        """Build the layer of each map from mmdet's registry."""
        return nn.ModuleList(
            MODELS.build(dict(layer_cfg, spatial_scale=1 / stride)) for stride in featmap_strides
        )
