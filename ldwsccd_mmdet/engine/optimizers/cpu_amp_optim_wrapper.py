"""Mixed precision on the CPU, which mmengine's ``AmpOptimWrapper`` refuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ...errors import ConfigError

__all__ = ['CPUAmpOptimWrapper']


def _has_fast_bfloat16() -> bool:
    """Tell whether oneDNN computes bfloat16 natively here; True where torch can't say."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return True


def _plain(value: Any) -> Any:
    """Make floating tensors in nested lists and tuples float32 and contiguous."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.float().contiguous()
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value


def _plain_inputs(module: nn.Module, args: tuple) -> tuple:
    return _plain(args)


def _plain_outputs(module: nn.Module, args: tuple, outputs: Any) -> Any:
    return _plain(outputs)


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Train on the CPU in bfloat16, with the channels innermost in memory.

    The forward pass runs under bfloat16 autocast; weights, gradients and optimizer stay float32.
    bfloat16 has the range of float32, so no loss is scaled: gradient accumulation and clipping are
    those of :class:`mmengine.optim.OptimWrapper`. Before the first step the model's images and
    kernels (tensors of four dimensions) are laid out as ``channels_last``, the order in which
    the CPU's convolutions are fastest.

    mmcv's compiled operators (RoIAlign and its like) know neither: on the CPU they refuse bfloat16,
    and silently misread channels_last maps. Those in the model, and mmdet's RoI extractors, get
    float32 and contiguous inputs. The maps of dense heads become so too: boxes are computed from
    them in their type, and bfloat16 knows only whole pixels from 128 on; CenterNet takes views.

    Its state dict is the optimizer's own: what was trained with it can be resumed with
    ``OptimWrapper`` or ``AmpOptimWrapper``, and the other way round.

    Args:
        channels_last: Whether to change the memory layout too. Default: True.
        **kwargs: As for :class:`mmengine.optim.OptimWrapper` (``optimizer``,
            ``accumulative_counts``, ``clip_grad``).

    Raises:
        ConfigError: At the first step, if the model is not on the CPU.
    """

    def __init__(self, channels_last: bool = True, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.channels_last = channels_last
        self._prepared = False
        if not _has_fast_bfloat16():
            print_log(
                'CPUAmpOptimWrapper: this CPU has no bfloat16 instructions; training may be '
                'slower than without --amp',
                logger='current',
                level=logging.WARNING,
            )

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state dict of this class, ``OptimWrapper`` or ``AmpOptimWrapper``."""
        state_dict = {key: value for key, value in state_dict.items() if key != 'loss_scaler'}
        super().load_state_dict(state_dict)
        self._prepared = False  # the state read may have another memory layout

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in bfloat16, without gradient sync where it can wait.

        Args:
            model: The model in training, or the wrapper that distributes it.
        """
        if not self._prepared:
            self._prepare(model)
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield

    def _prepare(self, model: nn.Module) -> None:
        """Check the device; give the model and the optimizer's state their layout, once."""
        devices = {parameter.device.type for parameter in model.parameters()}
        if devices - {'cpu'}:
            raise ConfigError(
                f'optim_wrapper.type=CPUAmpOptimWrapper needs a model on the CPU, but it is on '
                f'{", ".join(sorted(devices))}: set optim_wrapper.type=AmpOptimWrapper, or leave '
                'the choice to tools/train.py --amp'
            )
        if self.channels_last:
            # torch's type hints lack the keyword
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for state in self.optimizer.state.values():
                for key, value in state.items():
                    if isinstance(value, Tensor) and value.dim() == 4:
                        state[key] = value.contiguous(memory_format=torch.channels_last)
        for module in model.modules():
            operator = type(module).__module__.startswith('mmcv.ops.')
            if operator or isinstance(module, BaseRoIExtractor):
                if _plain_inputs not in module._forward_pre_hooks.values():
                    module.register_forward_pre_hook(_plain_inputs)
            elif isinstance(module, BaseDenseHead):
                if _plain_outputs not in module._forward_hooks.values():
                    module.register_forward_hook(_plain_outputs)
        self._prepared = True
