"""VGG backbone of SSD whose width is a factor."""

from collections.abc import Iterable

from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmdet.utils import OptConfigType, OptMultiConfig
from torch import Tensor, nn

from ...errors import check_argument
from .freezable_backbone import FreezableBackbone
from .staged_backbone import scale_channels


@MODELS.register_module()
class ScaledSSDVGG(FreezableBackbone):
    """VGG of SSD (Simonyan & Zisserman 2015, Liu et al. 2016) with a width factor.

    The layers are those of mmdet's ``SSDVGG``: five VGG stages, a 3 x 3 max pooling of stride 1,
    and conv6 (dilated by 6) and conv7. With ``widen_factor=1.0`` and ``norm_cfg=None`` the state
    dict has the very keys and shapes of ``SSDVGG`` (``features.N.weight``), so ImageNet VGG16
    weights made for it load unchanged.

    Args:
        depth: 11, 13, 16 or 19: which VGG.
        widen_factor: Factor on every channel number, rounded to a multiple of 8. See
            :attr:`out_channels` for what the neck must expect.
        norm_cfg: Norm layer after each convolution, e.g. ``dict(type='BN')`` to train from scratch;
            ``None`` (default) is the plain VGG.
        frozen_stages: Stages 1 to this number get no gradient; 0 freezes nothing.
        norm_eval: Keep norm layers in eval mode while training.
        init_cfg: Initialisation; by default Kaiming for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If ``depth`` is not one of the four, ``widen_factor`` is not positive or
            ``frozen_stages`` is not in [0, 5].
    """

    # convolutions per stage
    arch_settings: dict[int, tuple[int, ...]] = {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }
    stage_channels = (64, 128, 256, 512, 512)
    conv7_channels = 1024

    def __init__(
        self,
        depth: int = 16,
        widen_factor: float = 1.0,
        norm_cfg: OptConfigType = None,
        frozen_stages: int = 0,
        norm_eval: bool = False,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer='_BatchNorm'),
            ]
        super().__init__(norm_eval, init_cfg)
        depths, stages = sorted(self.arch_settings), len(self.stage_channels)
        for name, value, right, expected in (
            ('depth', depth, depth in depths, f'one of {depths}'),
            ('widen_factor', widen_factor, widen_factor > 0, 'a number > 0'),
            ('frozen_stages', frozen_stages, 0 <= frozen_stages <= stages, f'0 to {stages}'),
        ):
            check_argument(right, f'ScaledSSDVGG.{name}', expected, value)
        self.norm_cfg = norm_cfg

        layers: list[nn.Module] = []
        channels = 3
        stage_ends = []
        num_stages = len(self.stage_channels)
        for stage, num_convs in enumerate(self.arch_settings[depth]):
            width = scale_channels(self.stage_channels[stage], widen_factor)
            for _ in range(num_convs):
                layers += self._conv_block(channels, width, kernel_size=3, padding=1)
                channels = width
            if stage == 3:  # conv4's last activation, stride 8, before its pooling
                conv4_index, conv4_channels = len(layers) - 1, channels
            if stage < num_stages - 1:
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=True))
            stage_ends.append(len(layers))
        width = scale_channels(self.conv7_channels, widen_factor)
        layers.append(nn.MaxPool2d(kernel_size=3, stride=1, padding=1))
        layers += self._conv_block(channels, width, kernel_size=3, padding=6, dilation=6)
        layers += self._conv_block(width, width, kernel_size=1)
        self.features = nn.Sequential(*layers)

        #: Channels of the two outputs: conv4 (stride 8) and conv7 (stride 16).
        self.out_channels = (conv4_channels, width)
        self.out_feature_indices = (conv4_index, len(layers) - 1)
        self._num_frozen_layers = stage_ends[frozen_stages - 1] if frozen_stages else 0
        self.freeze()

    def _conv_block(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        padding: int = 0,
        dilation: int = 1,
    ) -> list[nn.Module]:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation)
        norm: nn.Module | None = None
        if self.norm_cfg is not None:
            norm = build_norm_layer(dict(self.norm_cfg), out_channels)[1]
        relu = nn.ReLU(inplace=True)
        return [conv, relu] if norm is None else [conv, norm, relu]

    def frozen_layers(self) -> Iterable[nn.Module]:
        """The layers of stages 1 to ``frozen_stages``."""
        return list(self.features)[: self._num_frozen_layers]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the two feature maps that SSD starts from.

        Args:
            x: Normalised images, shape (N, 3, H, W).

        Returns:
            conv4's map (N, ``out_channels[0]``, H / 8, W / 8) and conv7's map
            (N, ``out_channels[1]``, H / 16, W / 16); odd sizes are rounded up.
        """
        outs = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.out_feature_indices:
                outs.append(x)
        return tuple(outs)
