"""Heads of EfficientDet: separable convolutions shared by all levels, norm layers of each."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmcv.cnn import build_activation_layer, build_norm_layer
from mmdet.models.dense_heads import AnchorHead
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn

from ...errors import check_argument
from ..necks.bifpn import NORM_CFG, SeparableConv


class SharedTower(BaseModule):
    """Convolutions that all levels share, each followed by a norm layer of the level's own.

    Args:
        channels: Channels of the maps.
        out_channels: Channels of the predictions.
        num_convs: Convolutions before the predicting one.
        num_levels: Maps.
        norm_cfg: Norm layer.
        act_cfg: Activation.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        num_convs: int,
        num_levels: int,
        norm_cfg: ConfigType,
        act_cfg: ConfigType,
    ) -> None:
        super().__init__()
        self.act = build_activation_layer(dict(act_cfg))
        self.convs = nn.ModuleList(SeparableConv(channels, channels) for _ in range(num_convs))
        #: Of each level its norm layers.
        self.norms = nn.ModuleList(
            nn.ModuleList(build_norm_layer(dict(norm_cfg), channels)[1] for _ in range(num_convs))
            for _ in range(num_levels)
        )
        self.pred = SeparableConv(channels, out_channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Compute the predictions of each level, (N, C, H_l, W_l) to (N, out, H_l, W_l)."""
        outs = []
        levels: Iterable[Any] = self.norms
        for x, norms in zip(maps, levels, strict=True):
            for conv, norm in zip(self.convs, norms, strict=True):
                x = self.act(norm(conv(x)))
            outs.append(self.pred(x))
        return outs


@MODELS.register_module()
class EfficientDetHead(AnchorHead):
    r"""Class and box head of EfficientDet (Tan et al., 2020, sections 3 and 5.1).

    Two :class:`SharedTower`, as deep as each other. Anchors, matching at an IoU of 0.5 and losses
    are those of ``AnchorHead``, with the paper's numbers as defaults: focal loss of
    :math:`\alpha` = 0.25 and :math:`\gamma` = 1.5, anchors of three octaves, 4 strides large, and
    ratios 1/2, 1 and 2. The published code adds 50 times the Huber loss of :math:`\delta` = 0.1,
    averaged over the four coordinates of the positives. As
    :math:`\mathrm{huber}_\delta = \delta \, \mathrm{smooth}_{L_1}` of ``beta=delta``, that is
    ``SmoothL1Loss(beta=0.1, loss_weight=1.25)``.

    Args:
        num_classes: Foreground classes.
        in_channels: Channels of the neck's maps.
        num_convs: Convolutions before the predicting one, D_class and D_box.
        anchor_generator: Its strides say how many levels there are.
        loss_cls: Class loss; it must be one of sigmoids.
        loss_bbox: Box loss on encoded boxes.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        **kwargs: As ``AnchorHead``.

    Raises:
        ConfigError: If ``num_convs`` is negative.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 64,
        num_convs: int = 3,
        anchor_generator: ConfigType = dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128],
            center_offset=0.5,
        ),
        loss_cls: ConfigType = dict(
            type='FocalLoss', use_sigmoid=True, gamma=1.5, alpha=0.25, loss_weight=1.0
        ),
        loss_bbox: ConfigType = dict(type='SmoothL1Loss', beta=0.1, loss_weight=1.25),
        norm_cfg: ConfigType = NORM_CFG,
        act_cfg: ConfigType = dict(type='Swish'),
        **kwargs: Any,
    ) -> None:
        check_argument(num_convs >= 0, 'EfficientDetHead.num_convs', '0 or more', num_convs)
        self.num_convs = num_convs
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        super().__init__(
            num_classes,
            in_channels,
            anchor_generator=anchor_generator,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox,
            **kwargs,
        )

    def _init_layers(self) -> None:
        cfg = (
            self.num_convs,
            len(self.prior_generator.strides),
            self.norm_cfg,
            self.act_cfg,
        )
        anchors, channels = self.num_base_priors, self.in_channels
        self.cls_tower = SharedTower(channels, anchors * self.cls_out_channels, *cfg)
        self.reg_tower = SharedTower(channels, anchors * self.bbox_coder.encode_size, *cfg)

    def init_weights(self) -> None:
        """Initialise; at first nothing is of any class."""
        super().init_weights()
        bias: Any = self.cls_tower.pred.pointwise.bias
        nn.init.constant_(bias, bias_init_with_prob(0.01))

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute the predictions.

        Args:
            x: The neck's maps (N, C, H_l, W_l).

        Returns:
            Per level logits (N, A * num_classes, H_l, W_l) and deltas (N, A * 4, H_l, W_l).
        """
        return self.cls_tower(x), self.reg_tower(x)
