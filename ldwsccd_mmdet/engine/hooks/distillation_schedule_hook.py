"""When distillation counts: a linear warm-up, and an epoch after which it stops."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ...errors import ConfigError, check_argument
from .training_state import distilled_student


@HOOKS.register_module()
class DistillationScheduleHook(Hook):
    r"""Factor of the distillation losses over the course of training.

    .. math::
        w(i) = \min\Big(1, \frac{i + 1}{n}\Big) \text{ at iteration } i \text{ of a warm-up of }
        n, \qquad w = 0 \text{ after } \texttt{stop\_epoch} \text{ epochs}

    While w is 0 the teacher does not run; the losses stay in the log, as 0, and in the graph. The
    factor follows from the iteration alone, so a resumed run goes on where it was; it is in the log
    as ``distillation_weight``.

    Args:
        warmup_iters: Length n of the warm-up in iterations; 0 for none.
        warmup_epochs: The same in epochs; give one of the two.
        stop_epoch: Number of epochs that are distilled; None for all.

    Raises:
        ConfigError: If an argument is negative, both warm-ups are given, or epochs are given to a
            loop that counts iterations only.
    """

    priority = 'NORMAL'

    def __init__(
        self, warmup_iters: int = 0, warmup_epochs: float = 0, stop_epoch: int | None = None
    ) -> None:
        given = dict(
            warmup_iters=warmup_iters, warmup_epochs=warmup_epochs, stop_epoch=stop_epoch or 0
        )
        for name, value in given.items():
            check_argument(value >= 0, f'DistillationScheduleHook.{name}', '>= 0', value)
        if warmup_iters and warmup_epochs:
            raise ConfigError(
                'DistillationScheduleHook: expected warmup_iters or warmup_epochs, found both '
                f'({warmup_iters} and {warmup_epochs}); leave one out'
            )
        self.warmup_iters = warmup_iters
        self.warmup_epochs = warmup_epochs
        self.stop_epoch = stop_epoch

    def before_train(self, runner: Runner) -> None:
        """Check that the loop has the epochs that the schedule counts."""
        counts_epochs = bool(self.warmup_epochs) or self.stop_epoch is not None
        if counts_epochs and not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ConfigError(
                'DistillationScheduleHook: warmup_epochs and stop_epoch need '
                "train_cfg.type='EpochBasedTrainLoop', found "
                f'{type(runner.train_loop).__name__}; give warmup_iters'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the factor of this iteration."""
        student = distilled_student(runner)
        if student is None:
            return
        warmup = self.warmup_iters or self.warmup_epochs * len(runner.train_dataloader)
        weight = min(1.0, (runner.iter + 1) / warmup) if warmup else 1.0
        if self.stop_epoch is not None and runner.epoch >= self.stop_epoch:
            weight = 0.0
        student.distillation_weight = weight
        runner.message_hub.update_scalar('train/distillation_weight', weight)
