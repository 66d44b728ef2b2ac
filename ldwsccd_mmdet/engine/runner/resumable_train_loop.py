"""A training that goes on, after it was interrupted, as if it had not been."""

from __future__ import annotations

import logging
import random
from typing import Any

import numpy as np
import torch
from mmengine.dataset import worker_init_fn
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop

from ..generator_states import set_generator_states

__all__ = ['ResumableTrainLoop', 'WorkerSeed']


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop``, which can be taken up at the very point of a checkpoint.

    - The random generators go on in the states that the checkpoint holds, so that on the CPU a
      resumed training gives the weights of one that was not interrupted, to the bit.
    - A validation that was cut off, or not begun, is done first.
    - From a checkpoint within an epoch (``AtomicCheckpointHook(by_epoch=False)``) the epoch goes on
      there: the batches before it are loaded, and passed over.
    - Loader workers start anew at each epoch, with seeds made of run, epoch, process and worker:
      mmengine starts them with the same seeds at each epoch, or, where they persist, in a state
      that is lost with them.

    :class:`CellRunner` takes it in the place of ``EpochBasedTrainLoop``.

    Args:
        *args: As ``EpochBasedTrainLoop``.
        **kwargs: As ``EpochBasedTrainLoop``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._generators: dict[str, Any] | None = None
        self._validated = True
        self._worker_seed = WorkerSeed(self.runner.seed, self.runner.rank)
        given = self.dataloader.worker_init_fn
        if given is None or getattr(given, 'func', None) is worker_init_fn:
            self.dataloader.worker_init_fn = self._worker_seed

    def take_up(self, generators: dict[str, Any] | None, validated: bool) -> None:
        """Note where the training was when its checkpoint was written.

        Args:
            generators: States of this process's generators; None where they are not known.
            validated: Whether the validation that follows the epoch was done.
        """
        self._generators = generators
        self._validated = validated

    def run(self) -> torch.nn.Module:
        """Train, from where it was taken up."""
        self.runner.call_hook('before_train')
        if not self._batches_done():
            self._restore()
            if not self._validated and self._epoch > 0:
                self._validate_if_due(again=True)
            if self._epoch >= self._max_epochs:
                print_log(
                    f'The checkpoint has {self._epoch} epochs, and train_cfg.max_epochs is '
                    f'{self._max_epochs}: nothing is left to train; to train longer, set '
                    'train_cfg.max_epochs and --new-schedule',
                    logger='current',
                    level=logging.WARNING,
                )
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train one epoch, or what is left of it."""
        self._worker_seed.epoch = self._epoch
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._batches_done()
        if done:
            print_log(
                f'Epoch {self._epoch + 1} goes on after {done} of {len(self.dataloader)} batches, '
                'which are loaded and passed over',
                logger='current',
            )
        batches: Any = iter(self.dataloader) if done < len(self.dataloader) else iter(())
        for _ in range(done):
            next(batches, None)
        self._restore()  # before the next batch is loaded, perhaps in this process
        for index, batch in enumerate(batches, start=done):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _batches_done(self) -> int:
        """Batches of the present epoch that a resumed training was taught before."""
        done = self._iter - self._epoch * len(self.dataloader)
        return done if 0 < done <= len(self.dataloader) else 0

    def _restore(self) -> None:
        if self._generators is not None:
            set_generator_states(self._generators)
            self._generators = None

    def _validate_if_due(self, again: bool = False) -> None:
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is None or self._epoch < self.val_begin or not due:
            return
        if again:
            print_log(
                f'The validation after epoch {self._epoch} is done first: the checkpoint was '
                'written before it',
                logger='current',
            )
        self.runner.val_loop.run()


class WorkerSeed:
    """Seeds the generators of a loader's worker by run, epoch, process and worker.

    Args:
        seed: Of the run.
        rank: Of the process.

    Attributes:
        epoch: The epoch that the workers are started for.
    """

    def __init__(self, seed: int | None, rank: int) -> None:
        self.seed = seed
        self.rank = rank
        self.epoch = 0

    def __call__(self, worker_id: int) -> None:
        """Seed the process of a worker."""
        entropy = (self.seed or 0, self.rank, self.epoch, worker_id)
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
