"""CSPDarknet53, the backbone of YOLOv4."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModule
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from .staged_backbone import StagedBackbone, scale_channels

# mmcv 2.1 has no Mish; it looks for activations in mmengine's own registry
if 'Mish' not in ROOT_MODELS:
    ROOT_MODELS.register_module(name='Mish', module=nn.Mish)


class DarknetResidual(BaseModule):
    """x + conv3x3(conv1x1(x)).

    Args:
        channels: Channels in and out.
        hidden_channels: Channels between the two convolutions.
        norm_cfg: Norm layer.
        act_cfg: Activation.
    """

    def __init__(
        self, channels: int, hidden_channels: int, norm_cfg: OptConfigType, act_cfg: OptConfigType
    ) -> None:
        super().__init__()
        cfg = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv1 = ConvModule(channels, hidden_channels, 1, **cfg)
        self.conv2 = ConvModule(hidden_channels, channels, 3, padding=1, **cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block, (N, C, H, W) to the same shape."""
        return x + self.conv2(self.conv1(x))


class CSPDarknetStage(BaseModule):
    """Halve the resolution, then cross-stage partial residual blocks (Wang et al., 2020).

    After the first convolution, one half of the channels passes by the residual blocks::

        x -> down -> main -> blocks -> post -> concat -> fuse
                  -> bypass -----------------^

    The modules are registered in the order in which Darknet stores their weights.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        num_blocks: Residual blocks.
        halve: Whether the two branches have half the channels, as in every stage but the first.
        norm_cfg: Norm layer.
        act_cfg: Activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int,
        halve: bool,
        norm_cfg: OptConfigType,
        act_cfg: OptConfigType,
    ) -> None:
        super().__init__()
        cfg = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        branch = out_channels // 2 if halve else out_channels
        hidden = branch if halve else out_channels // 2
        self.down = ConvModule(in_channels, out_channels, 3, stride=2, padding=1, **cfg)
        self.bypass = ConvModule(out_channels, branch, 1, **cfg)
        self.main = ConvModule(out_channels, branch, 1, **cfg)
        self.blocks = nn.Sequential(
            *(DarknetResidual(branch, hidden, **cfg) for _ in range(num_blocks))
        )
        self.post = ConvModule(branch, branch, 1, **cfg)
        self.fuse = ConvModule(2 * branch, out_channels, 1, **cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the stage, (N, in, H, W) to (N, out, H / 2, W / 2), rounded up."""
        x = self.down(x)
        main = self.post(self.blocks(self.main(x)))
        return self.fuse(torch.cat([main, self.bypass(x)], dim=1))


@MODELS.register_module()
class CSPDarknet53(StagedBackbone):
    """Backbone of YOLOv4 (Bochkovskiy et al., 2020): Darknet53 with CSP stages and Mish.

    A convolution of stride 1, then five stages of 1, 2, 8, 8 and 4 residual blocks with 64, 128,
    256, 512 and 1024 channels, each of half the resolution of the last. Layers and order are those
    of the published ``yolov4.cfg``.

    Args:
        deepen_factor: Factor on the number of residual blocks, at least 1 a stage.
        widen_factor: Factor on every channel number, rounded to a multiple of 8. See
            ``out_channels`` for what the neck must expect.
        out_indices: Which maps to give: 0 is the first convolution, 1 to 5 the stages.
        frozen_stages: The first convolution and stages up to this number get no gradient and stay
            in eval mode; -1 freezes nothing.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        norm_eval: Keep norm layers in eval mode while training.
        init_cfg: Initialisation; by default Kaiming for convolutions, 1 for norm layers.

    Raises:
        ConfigError: If a factor is not positive, or a stage not in [0, 5].
    """

    stage_blocks = (1, 2, 8, 8, 4)
    stage_channels = (32, 64, 128, 256, 512, 1024)

    def __init__(
        self,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (3, 4, 5),
        frozen_stages: int = -1,
        norm_cfg: ConfigType = dict(type='BN'),
        act_cfg: ConfigType = dict(type='Mish'),
        norm_eval: bool = False,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d', a=0, nonlinearity='relu'),
                dict(type='Constant', val=1, layer='_BatchNorm'),
            ]
        super().__init__(out_indices, frozen_stages, norm_eval, init_cfg)
        self.check_factors(deepen_factor=deepen_factor, widen_factor=widen_factor)
        widths = [scale_channels(channels, widen_factor) for channels in self.stage_channels]
        cfg = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        stages = [ConvModule(3, widths[0], 3, padding=1, **cfg)]
        for index, num_blocks in enumerate(self.stage_blocks):
            num_blocks = max(1, round(num_blocks * deepen_factor))
            stages.append(
                CSPDarknetStage(widths[index], widths[index + 1], num_blocks, index > 0, **cfg)
            )
        self.set_stages(stages, widths)
