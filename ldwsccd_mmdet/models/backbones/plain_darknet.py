"""Darknet's backbones without residuals: Darknet-19 and the one of YOLOv1."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from torch import nn

from .staged_backbone import INIT_CFG, StagedBackbone, scale_channels


class PlainDarknet(StagedBackbone):
    """Stages of convolutions with batch norm and leaky ReLU, a 2x2 max pooling before each.

    The modules are registered in the order in which Darknet stores their weights.

    Args:
        widen_factor: Factor on every channel number, rounded to a multiple of 8. See
            ``out_channels`` for what the neck must expect.
        out_indices: Which maps to give, see :attr:`stage_layers`; stages after the last are not
            made.
        frozen_stages: See :class:`StagedBackbone`.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        norm_eval: See :class:`StagedBackbone`.
        init_cfg: Initialisation; by default Kaiming for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If the factor is not positive, or a stage is none.
    """

    #: Of each stage its convolutions: channels and kernel size.
    stage_layers: tuple[tuple[tuple[int, int], ...], ...]
    #: Stride of the first convolution.
    first_stride = 1

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (4, 5),
        frozen_stages: int = -1,
        norm_cfg: ConfigType = dict(type='BN'),
        act_cfg: ConfigType = dict(type='LeakyReLU', negative_slope=0.1),
        norm_eval: bool = False,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(out_indices, frozen_stages, norm_eval, init_cfg or INIT_CFG)
        self.check_factors(widen_factor=widen_factor)
        stages, widths, channels = [], [], 3
        for index, convs in enumerate(self.stage_layers[: max(out_indices) + 1]):
            layers: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True)] if index else []
            for filters, kernel in convs:
                width = scale_channels(filters, widen_factor)
                stride = self.first_stride if channels == 3 else 1
                layers.append(
                    ConvModule(
                        channels,
                        width,
                        kernel,
                        stride=stride,
                        padding=kernel // 2,
                        norm_cfg=norm_cfg,
                        act_cfg=act_cfg,
                    )
                )
                channels = width
            stages.append(nn.Sequential(*layers))
            widths.append(channels)
        self.set_stages(stages, widths)


@MODELS.register_module()
class Darknet19(PlainDarknet):
    """Backbone of YOLOv2 (Redmon and Farhadi, 2017, table 6) without its classifier.

    18 convolutions in six stages of strides 1, 2, 4, 8, 16 and 32, as in the published
    ``yolov2.cfg``; the nineteenth of its name made the 1000 classes of ImageNet.
    """

    stage_layers = (
        ((32, 3),),
        ((64, 3),),
        ((128, 3), (64, 1), (128, 3)),
        ((256, 3), (128, 1), (256, 3)),
        ((512, 3), (256, 1), (512, 3), (256, 1), (512, 3)),
        ((1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3)),
    )


@MODELS.register_module()
class YOLOv1Backbone(PlainDarknet):
    """Backbone of YOLOv1 (Redmon et al., 2016, section 2.2): its 20 pretrained convolutions.

    Five stages of strides 2, 4, 8, 16 and 32, as in the published ``yolov1.cfg``. Darknet calls
    the classifier that they come from "Extraction".

    Args:
        out_indices: Which maps to give; see :class:`PlainDarknet` for the other arguments.
        **kwargs: As :class:`PlainDarknet`.
    """

    first_stride = 2
    stage_layers = (
        ((64, 7),),
        ((192, 3),),
        ((128, 1), (256, 3), (256, 1), (512, 3)),
        (*((256, 1), (512, 3)) * 4, (512, 1), (1024, 3)),
        ((512, 1), (1024, 3)) * 2,
    )

    def __init__(self, *, out_indices: Sequence[int] = (4,), **kwargs: Any) -> None:
        super().__init__(out_indices=out_indices, **kwargs)
