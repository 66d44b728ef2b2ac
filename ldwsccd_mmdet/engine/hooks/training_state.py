"""What the hooks share: find the distilled student, and leave training as it was."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ...models.detectors import LDWSCCDMixin


def distilled_student(runner: Runner) -> LDWSCCDMixin | None:
    """Give the detector in training if it is distilled from a teacher, else None."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if isinstance(model, LDWSCCDMixin) and model.distillation is not None:
        return model
    return None


@contextmanager
def untouched_training(model: nn.Module | None = None) -> Iterator[None]:
    """Put back, at the end, the random states and the buffers (batch norm's) of a model.

    Args:
        model: The model whose buffers are kept; None for random states only.
    """
    buffers = {name: b.clone() for name, b in model.named_buffers()} if model is not None else {}
    states = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if model is not None:
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
