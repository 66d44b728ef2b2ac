"""mmengine's runner, for configs that leave their classes to the annotation files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseTTAModel, is_model_wrapper, revert_sync_batchnorm
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, Runner
from torch import nn

from ...errors import CheckpointError
from ..checkpoint_file import read_checkpoint
from ..find_checkpoint import find_resume
from ..hooks.atomic_checkpoint_hook import STATE_KEY, AtomicCheckpointHook
from ..hooks.bag_audit_hook import BagAuditHook
from ..model_weights import (
    demand_mil_head,
    demand_weights,
    find_weights_of,
    is_student,
    say_what_fits,
)
from ..own_data import follow_annotation_files
from ..resumed_settings import ResumedSettings
from ..run_settings import check_run_settings
from ..weights_only import without_config_text
from .resumable_train_loop import ResumableTrainLoop

__all__ = ['CellRunner']

_CHECKPOINT_HOOKS = ('CheckpointHook', 'mmengine.CheckpointHook')
_EPOCH_LOOPS = ('EpochBasedTrainLoop', 'mmengine.EpochBasedTrainLoop')


@RUNNERS.register_module()
class CellRunner(Runner):
    """A :class:`mmengine.runner.Runner` that first completes its config.

    ``runner_type='CellRunner'`` in a config makes mmdet's own tools take it, as ours do. See
    :func:`~ldwsccd_mmdet.engine.own_data.follow_annotation_files`.

    Weights that do not fit the model are not passed over: see :meth:`load_checkpoint`. A training
    that was killed goes on as if it had not been: ``CheckpointHook`` becomes
    :class:`AtomicCheckpointHook`, ``EpochBasedTrainLoop`` :class:`ResumableTrainLoop`.

    Attributes:
        new_schedule: Whether a resumed training takes rates and schedules of the config instead of
            those of its checkpoint.
    """

    new_schedule = False
    _resumed: Mapping[str, Any] = {}
    _has_loaded: bool
    _load_from: Any
    _resume: bool
    _train_dataloader: Any

    @classmethod
    def from_cfg(cls, cfg: Config) -> Runner:
        """Build the runner; what is completed stands in its ``cfg`` and in what it dumps.

        Raises:
            ConfigError: A length, a rate or a limit of the run can't be meant.
        """
        check_run_settings(cfg)
        follow_annotation_files(cfg)
        return super().from_cfg(cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> Any:
        """Wrap the model for several processes, as mmengine does, after what it does too late.

        - mmdet's backbones freeze their first stages in ``train()``, and so after
          DistributedDataParallel has noted which parameters get gradients: it would wait for those
          of the frozen ones, and the second step fail.
        - Some backbones have layers behind the last one that is asked for (MobileNetV2 with
          ``out_indices=(2, 4, 6)``): they get no gradient, and are frozen too.
        - ``SyncBatchNorm`` of torch runs on accelerators only: on CPUs each process takes the
          statistics of its own images.

        Args:
            model_wrapper_cfg: See :meth:`mmengine.runner.Runner.wrap_model`.
            model: The model.
        """
        if self.distributed and not is_model_wrapper(model):
            training = model.training
            model.train()
            model.train(training)
            _freeze_unused(model)
            if get_device() == 'cpu':
                model = self._without_sync(model)
        return super().wrap_model(model_wrapper_cfg, model)

    def _without_sync(self, model: nn.Module) -> nn.Module:
        synced = self.cfg.get('sync_bn') or any(
            isinstance(module, nn.SyncBatchNorm) for module in model.modules()
        )
        if not synced:
            return model
        self.cfg.sync_bn = None
        self.logger.log(
            logging.WARNING,
            'SyncBatchNorm needs accelerators: on CPUs each process normalises by its own images, '
            'so give each of them enough (train_dataloader.batch_size)',
        )
        return revert_sync_batchnorm(model)

    def register_default_hooks(self, hooks: Mapping[str, Any] | None = None) -> None:
        """Register the default hooks; checkpoints are whole or absent."""
        given = dict(hooks or {})
        checkpoint = given.setdefault('checkpoint', {'type': 'CheckpointHook', 'interval': 1})
        if isinstance(checkpoint, dict) and checkpoint.get('type') in _CHECKPOINT_HOOKS:
            given['checkpoint'] = {**checkpoint, 'type': AtomicCheckpointHook}
        super().register_default_hooks(given)

    def register_hooks(
        self,
        default_hooks: Mapping[str, Any] | None = None,
        custom_hooks: Sequence[Any] | None = None,
    ) -> None:
        """Register all hooks, and the one that refuses crops under image labels in any case."""
        super().register_hooks(default_hooks, custom_hooks)
        if not any(isinstance(hook, BagAuditHook) for hook in self.hooks):
            self.register_hook(BagAuditHook())

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; one of epochs can be taken up where it was interrupted."""
        plain = isinstance(loop, dict) and (
            loop.get('by_epoch') is True or loop.get('type') in _EPOCH_LOOPS
        )
        if plain:
            loop = {key: value for key, value in loop.items() if key != 'by_epoch'}
            loop['type'] = ResumableTrainLoop
            if isinstance(self._train_dataloader, dict):
                # workers that persist have random states which are lost with them
                self._train_dataloader = {**self._train_dataloader, 'persistent_workers': False}
        return super().build_train_loop(loop)

    def load_or_resume(self) -> None:
        """Load or resume; without a file, from the newest checkpoint that can be read."""
        if self._resume and self._load_from is None and not self._has_loaded:
            try:
                self._load_from = find_resume(self.work_dir, 'auto')
            except CheckpointError as error:
                self._resume = False
                self.logger.warning(f'{error}; this training begins anew')
        super().load_or_resume()

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = 'default',
    ) -> None:
        """Go on from a checkpoint; what it says otherwise than the config is said.

        Args:
            filename: The checkpoint.
            resume_optimizer: Load the optimizer's state.
            resume_param_scheduler: Load the state of the schedules; not with ``new_schedule``.
            map_location: As ``torch.load``.

        Raises:
            CheckpointError: It can't be read, is not of this model, or was not written by a
                training.
            ConfigError: ``new_schedule`` and a schedule that follows a metric.
        """
        plain = isinstance(self.param_schedulers, list)
        schedulers: Any = self.param_schedulers if plain else []
        groups = getattr(self.optim_wrapper, 'param_groups', [])
        planned = ResumedSettings(groups, schedulers) if isinstance(groups, list) else None
        super().resume(
            filename,
            resume_optimizer,
            resume_param_scheduler and not self.new_schedule,
            map_location,
        )
        if planned is not None and plain:
            self._settle_schedule(planned, schedulers, filename)
        self._take_up(filename)

    def _settle_schedule(self, planned: ResumedSettings, schedulers: Any, filename: str) -> None:
        """Say what the checkpoint has kept, or take the config's rates instead."""
        groups = self.optim_wrapper.param_groups
        if self.new_schedule:
            length = len(self.train_dataloader)
            planned.replay(groups, schedulers, self.iter, length)
            self.logger.info(
                f'Rates and schedules are those of the config, as after {self.iter} iterations'
            )
            return
        differences = planned.differences(groups, schedulers)
        number = len(self._resumed.get('param_schedulers') or [])
        if number != len(schedulers):
            differences.append(
                f'param_scheduler: {number} in the checkpoint, {len(schedulers)} in the config'
            )
        if differences:
            self.logger.warning(
                f"'{filename}' goes on with its own rates and schedules, not those of the config: "
                f'{"; ".join(differences)}. To take those of the config, add --new-schedule; to '
                'start anew from its weights alone, give it as load_from, without --resume'
            )

    def _take_up(self, filename: str) -> None:
        """Hand the loop what the checkpoint says of the point where it was written."""
        state = self._resumed.get(STATE_KEY) or {}
        generators = state.get('generators') or []
        if generators and len(generators) != self.world_size:
            self.logger.warning(
                f"'{filename}' was written by {len(generators)} processes, and {self.world_size} "
                'go on: images a step, random numbers and iterations an epoch are others; check '
                'optim_wrapper.optimizer.lr'
            )
        if isinstance(self.train_loop, ResumableTrainLoop):
            fits = len(generators) == self.world_size
            self.train_loop.take_up(
                generators[self.rank] if fits else None, bool(state.get('validated'))
            )
        else:
            self.logger.warning(
                f'{type(self.train_loop).__name__} does not take up random states: the training '
                'goes on with other random numbers than without the interruption'
            )

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = False,
        revise_keys: Any = None,
    ) -> dict[str, Any]:
        """Load the weights of a checkpoint, whatever prefix stands before their names.

        Training (``load_from``) says which parts of the model it begins with. Test and validation
        take no checkpoint that lacks more than 1 % of the student's weights, nor one without the
        MIL head whose scores are asked for. Resuming takes none that lacks weights of any part.

        Args:
            filename: A file, or an address.
            map_location: As ``torch.load``.
            strict: Demand the weights of all parts, as resuming does.
            revise_keys: Of no use: prefixes are found.

        Returns:
            The content of the checkpoint.

        Raises:
            CheckpointError: It can't be read, does not fit, or has weights that are not finite.
        """
        checkpoint = without_config_text(read_checkpoint(filename, map_location))
        model = _plain_model(self.model)
        fit = find_weights_of(model, checkpoint, filename)
        if strict or self._resume:
            demand_weights(fit, filename)
        elif isinstance(self._train_loop, BaseLoop):
            say_what_fits(fit, filename)
        else:
            demand_weights(fit.of(is_student), filename)
            demand_mil_head(model, fit, filename)
            if fit.unused:
                self.logger.info(
                    f"'{filename}' has {fit.unused} unexpected keys, weights that this model has "
                    'not: they are not used'
                )
        checkpoint['state_dict'] = fit.state  # by the model's names, which the EMA's hook reads
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model.load_state_dict(checkpoint['state_dict'], strict=False)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        if self._resume:
            _check_resumable(checkpoint, filename)
            self._resumed = {key: checkpoint.get(key) for key in (STATE_KEY, 'param_schedulers')}
        return checkpoint


def _check_resumable(checkpoint: Mapping[str, Any], filename: str) -> None:
    """Raise if a checkpoint does not say how far its training was."""
    meta = checkpoint.get('meta')
    counts = [meta.get(key) for key in ('epoch', 'iter')] if isinstance(meta, Mapping) else []
    known = bool(counts) and all(isinstance(count, int) and count >= 0 for count in counts)
    parts = ('message_hub', 'optimizer')
    absent = [key for key in parts if not isinstance(checkpoint.get(key), Mapping)]
    if not known or absent:
        raise CheckpointError(
            f"--resume: '{filename}' holds weights, but not the state of a training "
            f'({", ".join(absent or ["meta.epoch, meta.iter"])}): start from its weights with '
            '--cfg-options load_from=FILE and without --resume'
        )


#: Where mmdet's backbones keep the names of their layers, which ``out_indices`` counts.
_LAYERS = ('layers', 'res_layers', 'cr_blocks')


def _freeze_unused(model: nn.Module) -> None:
    """Freeze the layers of mmdet's backbones that come after the last one that is asked for."""
    for module in model.modules():
        wanted = getattr(module, 'out_indices', None)
        if not isinstance(wanted, (list, tuple)) or not wanted:
            continue
        for names in (getattr(module, key, None) for key in _LAYERS):
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                continue
            for name in names[max(wanted) + 1 :]:
                getattr(module, name).requires_grad_(False)


def _plain_model(model: Any) -> nn.Module:
    """The detector itself, without what wraps it for several processes or for augmented tests."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
