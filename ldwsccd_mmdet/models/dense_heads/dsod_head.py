"""SSD head of DSOD: predictions with norm layers."""

from typing import Any

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import nn

from .ssd_student_head import SSDStudentHead


@MODELS.register_module()
class DSODHead(SSDStudentHead):
    """Head of DSOD (Shen et al., 2017): a norm layer follows each predicting convolution.

    As in the published code, logits and deltas of each level are a 3x3 convolution without bias
    and a norm layer. Losses, predictions and proposals are those of :class:`SSDStudentHead`, so
    that MIL refinement works on it.

    Args:
        num_classes: See :class:`SSDStudentHead`.
        pred_norm_cfg: Norm layer.
        **kwargs: As :class:`SSDStudentHead`.
    """

    def __init__(
        self,
        num_classes: Any = None,
        pred_norm_cfg: ConfigType = dict(type='BN'),
        **kwargs: Any,
    ) -> None:
        self.pred_norm_cfg = pred_norm_cfg
        super().__init__(num_classes, **kwargs)

    def _init_layers(self) -> None:
        self.cls_convs = nn.ModuleList()
        self.reg_convs = nn.ModuleList()
        for channels, num_priors in zip(self.in_channels, self.num_base_priors, strict=True):
            for convs, values in ((self.cls_convs, self.cls_out_channels), (self.reg_convs, 4)):
                conv = ConvModule(
                    channels,
                    num_priors * values,
                    3,
                    padding=1,
                    norm_cfg=self.pred_norm_cfg,
                    act_cfg=None,
                )
                convs.append(conv)
