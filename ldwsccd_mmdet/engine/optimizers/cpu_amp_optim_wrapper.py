"""Mixed precision on the CPU, which mmengine's ``AmpOptimWrapper`` refuses."""

from __future__ import annotations

import functools
import time
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

from ...errors import ConfigError, check_argument

__all__ = ['CPUAmpOptimWrapper']

DTYPES = {'bfloat16': torch.bfloat16, 'float32': torch.float32}
# bfloat16 has to be slower by so much: what is nearly equal must not be chosen by chance
CLEARLY = 1.2


def _has_bfloat16() -> bool:
    """Tell whether oneDNN computes bfloat16 natively here; True where torch can't say."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return True


def _convolution_seconds(dtype: torch.dtype) -> float:
    """Processor time of a convolution of a middle layer and its gradients, channels last."""
    generator = torch.Generator().manual_seed(0)
    x, kernel = (
        torch.randn(shape, generator=generator)
        .to(dtype)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
        for shape in ((4, 64, 64, 64), (64, 64, 3, 3))
    )
    start = time.process_time()
    torch.nn.functional.conv2d(x, kernel, padding=1).sum().backward()
    return time.process_time() - start


@functools.cache
def faster_dtype() -> str:
    """Find out which type this CPU trains faster in, once a process, in a fraction of a second.

    Some CPUs convolve bfloat16 twice as fast as float32, others have no instructions for it, and
    some have them and are slower all the same.

    Returns:
        'bfloat16', or 'float32' where that is faster by a fifth at least.
    """
    if not _has_bfloat16():
        return 'float32'
    with torch.enable_grad():
        best = {
            name: min(_convolution_seconds(dtype) for _ in range(6))
            for name, dtype in DTYPES.items()
        }
    return 'float32' if best['bfloat16'] > CLEARLY * best['float32'] else 'bfloat16'


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
    """Train on the CPU in the faster of two types, with the channels innermost in memory.

    The forward pass runs under bfloat16 autocast, or in float32 on a CPU that is clearly slower in
    bfloat16 (:func:`faster_dtype`; the log says which it is). Weights, gradients and optimizer are
    float32 in either. bfloat16 has the range of float32, so no loss is scaled: gradient
    accumulation and clipping are those of :class:`mmengine.optim.OptimWrapper`. Before the first
    step the model's images and kernels (tensors of four dimensions) are laid out as
    ``channels_last``, the order in which the CPU's convolutions are fastest.

    mmcv's compiled operators (RoIAlign and its like) know neither: on the CPU they refuse bfloat16,
    and silently misread channels_last maps. Those in the model, and mmdet's RoI extractors, get
    float32 and contiguous inputs. The maps of dense heads become so too: boxes are computed from
    them in their type, and bfloat16 knows only whole pixels from 128 on; CenterNet takes views.

    Its state dict is the optimizer's own: what was trained with it can be resumed with
    ``OptimWrapper`` or ``AmpOptimWrapper``, and the other way round.

    Args:
        channels_last: Whether to change the memory layout too. Default: True.
        dtype: 'bfloat16', 'float32', or 'auto' (default) for the faster one. Two CPUs may differ
            in it, and their trainings by the rounding of bfloat16.
        **kwargs: As for :class:`mmengine.optim.OptimWrapper` (``optimizer``,
            ``accumulative_counts``, ``clip_grad``).

    Raises:
        ConfigError: If ``dtype`` is unknown; at the first step, if the model is not on the CPU.
    """

    def __init__(self, channels_last: bool = True, dtype: str = 'auto', **kwargs: object) -> None:
        super().__init__(**kwargs)
        check_argument(
            dtype in ('auto', *DTYPES),
            'optim_wrapper.dtype',
            "'auto', 'bfloat16' or 'float32' on a CPU",
            dtype,
        )
        self.channels_last = channels_last
        self._prepared = False
        name = faster_dtype() if dtype == 'auto' else dtype
        self.dtype = DTYPES[name]
        if dtype == 'auto':
            why = 'which is faster here' if _has_bfloat16() else 'as this CPU has no bfloat16'
            print_log(f'CPUAmpOptimWrapper: trains in {name}, {why}', logger='current')

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state dict of this class, ``OptimWrapper`` or ``AmpOptimWrapper``."""
        state_dict = {key: value for key, value in state_dict.items() if key != 'loss_scaler'}
        super().load_state_dict(state_dict)
        self._prepared = False  # the state read may have another memory layout

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in ``dtype``, without gradient sync where it can wait.

        Args:
            model: The model in training, or the wrapper that distributes it.
        """
        if not self._prepared:
            self._prepare(model)
        # autocast knows no float32
        autocast = torch.autocast('cpu', torch.bfloat16, enabled=self.dtype == torch.bfloat16)
        with super().optim_context(model), autocast:
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
            # model.to() refuses weights of five dimensions and more, such as YOLOv1's local layer
            for tensor in (*model.parameters(), *model.buffers()):
                if tensor.dim() == 4:
                    tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
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
