"""The last four convolutions of YOLOv1."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..backbones.staged_backbone import INIT_CFG


@MODELS.register_module()
class YOLOv1Neck(BaseModule):
    """Neck of YOLOv1 (Redmon et al., 2016, section 2.2): what it adds to the pretrained layers.

    Four 3x3 convolutions with batch norm, as in the published ``yolov1.cfg``; the second halves the
    map.

    Args:
        in_channels: Channels of the backbone's map.
        out_channels: Channels of every convolution.
        stride: Stride of the second one; 1 leaves the map as large as it is.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        init_cfg: Initialisation; by default Kaiming for convolutions, 1 for norm layers.
    """

    def __init__(
        self,
        in_channels: int = 1024,
        out_channels: int = 1024,
        stride: int = 2,
        norm_cfg: ConfigType = dict(type='BN'),
        act_cfg: ConfigType = dict(type='LeakyReLU', negative_slope=0.1),
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg or INIT_CFG)
        self.convs = nn.Sequential(
            *(
                ConvModule(
                    out_channels if index else in_channels,
                    out_channels,
                    3,
                    stride=stride if index == 1 else 1,
                    padding=1,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                for index in range(4)
            )
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Compute the one map.

        Args:
            inputs: The backbone's maps; the last, (N, C, H, W), is used.

        Returns:
            One map (N, ``out_channels``, H / stride, W / stride), rounded up.
        """
        return (self.convs(inputs[-1]),)
