"""How the first layers of a backbone are frozen, and its norms kept."""

from collections.abc import Iterable
from typing import TypeVar

from mmdet.utils import OptMultiConfig
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

Self = TypeVar('Self', bound='FreezableBackbone')


class FreezableBackbone(BaseModule):
    """A backbone, the first layers of which may be frozen.

    A subclass says which in :meth:`frozen_layers`, and calls :meth:`freeze` at the end of its
    ``__init__``.

    Args:
        norm_eval: Keep norm layers in eval mode while training.
        init_cfg: Initialisation.
    """

    def __init__(self, norm_eval: bool = False, init_cfg: OptMultiConfig = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.norm_eval = norm_eval

    def frozen_layers(self) -> Iterable[nn.Module]:
        """The layers that get no gradient and stay in eval mode."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Freeze :meth:`frozen_layers`."""
        for layer in self.frozen_layers():
            layer.eval()
            layer.requires_grad_(False)

    def train(self: Self, mode: bool = True) -> Self:
        """Set the mode; frozen layers, and all norm layers if ``norm_eval``, stay in eval mode."""
        super().train(mode)
        self.freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
