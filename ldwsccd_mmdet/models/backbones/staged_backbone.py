"""What backbones that are a row of stages share."""

from collections.abc import Iterable, Sequence

from mmdet.utils import OptMultiConfig
from torch import Tensor, nn

from ...errors import check_argument
from .freezable_backbone import FreezableBackbone

#: Kaiming for convolutions with leaky ReLU or Mish, 1 for norm layers.
INIT_CFG = [
    dict(type='Kaiming', layer='Conv2d', a=0.1),
    dict(type='Constant', val=1, layer='_BatchNorm'),
]


def scale_channels(channels: int, widen_factor: float) -> int:
    """Multiply a number of channels and round it to a multiple of 8, at least 8."""
    return max(8, round(channels * widen_factor / 8) * 8)


class StagedBackbone(FreezableBackbone):
    """A row of stages, some of whose maps are given, and the first of which may be frozen.

    A subclass calls :meth:`set_stages` at the end of its ``__init__``.

    Args:
        out_indices: Stages whose maps are given.
        frozen_stages: Stages 0 to this number get no gradient and stay in eval mode; -1 freezes
            nothing.
        norm_eval: Keep norm layers in eval mode while training.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        out_indices: Sequence[int],
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(norm_eval, init_cfg)
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages

    def check_factors(self, **factors: float) -> None:
        """Check that factors of depth or width are positive.

        Raises:
            ConfigError: One is not.
        """
        for name, value in factors.items():
            check_argument(value > 0, f'{type(self).__name__}.{name}', 'a number > 0', value)

    def set_stages(self, stages: Sequence[nn.Module], channels: Sequence[int]) -> None:
        """Take the stages and the channels of their maps.

        Raises:
            ConfigError: A number of ``out_indices`` or ``frozen_stages`` is of no stage.
        """
        last, name = len(stages) - 1, type(self).__name__
        inside = bool(self.out_indices) and all(0 <= index <= last for index in self.out_indices)
        check_argument(inside, f'{name}.out_indices', f'stages from 0 to {last}', self.out_indices)
        check_argument(
            -1 <= self.frozen_stages <= last,
            f'{name}.frozen_stages',
            f'-1 to {last}',
            self.frozen_stages,
        )
        self.stages = nn.ModuleList(stages)
        #: Channels of each output.
        self.out_channels = tuple(channels[index] for index in self.out_indices)
        self.freeze()

    def frozen_layers(self) -> Iterable[nn.Module]:
        """The stages up to ``frozen_stages``."""
        return self.stages[: self.frozen_stages + 1]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps of ``out_indices``.

        Args:
            x: Normalised images, shape (N, 3, H, W).

        Returns:
            The map of each stage of ``out_indices``; odd sizes are rounded up where a stage halves
            them.
        """
        outs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)
