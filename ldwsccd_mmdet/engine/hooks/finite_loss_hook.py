"""Ends a training whose loss is NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmdet.engine.hooks import CheckInvalidLossHook
from mmdet.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ...errors import NonFiniteLossError, check_argument


@HOOKS.register_module()
class FiniteLossHook(CheckInvalidLossHook):
    """mmdet's ``CheckInvalidLossHook`` that names the loss, in one line.

    LD-WSCCD checks its losses itself before the backward pass; mmdet's own detectors go on with NaN
    weights. A check costs nothing: mmengine reads the losses of each step for the log anyway.

    Args:
        interval: Check every so many iterations.

    Raises:
        ConfigError: ``interval`` is no whole number of at least 1.
        NonFiniteLossError: A loss is not finite.
    """

    priority = 'VERY_HIGH'  # before any hook that would save

    def __init__(self, interval: int = 1) -> None:
        right = isinstance(interval, int) and interval >= 1
        check_argument(right, 'FiniteLossHook.interval', 'a whole number of at least 1', interval)
        super().__init__(interval)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the losses of a step."""
        if not outputs or not self.every_n_train_iters(runner, self.interval):
            return
        losses = {
            name: value.detach().float().mean()
            for name, value in outputs.items()
            if 'loss' in name and isinstance(value, Tensor)
        }
        if not losses:
            return
        values = torch.stack(list(losses.values())).tolist()
        bad = [
            f'{name} = {value}'
            for name, value in zip(losses, values, strict=True)
            if not math.isfinite(value)
        ]
        if bad:
            raise NonFiniteLossError(
                f'non-finite loss at iteration {runner.iter + 1}: {", ".join(bad)}; look at the '
                'images and boxes of this batch, lower optim_wrapper.optimizer.lr, or set '
                'optim_wrapper.clip_grad; the last checkpoint is as it was'
            )
