"""Checkpoints that are whole or absent, whenever the training is killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ...errors import CheckpointError, NonFiniteWeightsError
from ...models.utils import not_finite
from ..generator_states import generator_states

__all__ = ['POINTER', 'STATE_KEY', 'AtomicCheckpointHook']

#: File of a work directory that names its last checkpoint.
POINTER = 'last_checkpoint'
#: Key of a checkpoint for what goes on from it needs beside mmengine's content.
STATE_KEY = 'training_state'
_PART = '.part'


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, safe against kills, full disks and weights that are NaN.

    A checkpoint is written under another name in the same folder, synchronised to the disk, and
    then renamed. Only when it stands are ``last_checkpoint`` set, in the same way, and older ones
    deleted, the last best one too. mmengine deletes first and then writes in place.

    Weights that are NaN or infinite are not saved: the training ends, and the checkpoints are as
    they were. Beside mmengine's content a checkpoint holds the states of the random generators of
    all processes, and whether its epoch was validated already: :class:`CellRunner` goes on from
    there.

    Folders on other than local disks are left to mmengine.

    Args:
        *args: As ``CheckpointHook``.
        **kwargs: As ``CheckpointHook``.

    Raises:
        CheckpointError: The folder can't be written to, or the disk is full.
        NonFiniteWeightsError: Weights are NaN or infinite.
    """

    file_backend: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._validated = False
        self._generators: list[dict[str, Any]] = []

    @property
    def _is_local(self) -> bool:
        return self.file_client_args is None and isinstance(self.file_backend, LocalBackend)

    def before_train(self, runner: Runner) -> None:
        """Check that the folder can be written to; remove what a killed training left half."""
        super().before_train(runner)
        if not self._is_local or not is_main_process():
            return
        folder = Path(self.out_dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for part in folder.glob(f'*.pth{_PART}'):
                part.unlink()
            probe = folder / f'probe.pth{_PART}'
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise CheckpointError(
                f"checkpoints can't be written to '{folder}' ({error.strerror}): name another "
                'folder with --work-dir'
            ) from error

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Save the best checkpoint, and the last one again, which knows of it."""
        self._validated = True
        try:
            super().after_val_epoch(runner, metrics or {})
        finally:
            self._validated = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse weights that are not finite; add what a resumed training needs."""
        for key in ('state_dict', 'ema_state_dict'):
            bad = not_finite(checkpoint.get(key) or {})
            if bad:
                raise NonFiniteWeightsError(
                    f'{len(bad)} of {len(checkpoint[key])} weights are not finite at iteration '
                    f'{runner.iter}, first {bad[0]}: they are not saved, and the last good '
                    f'checkpoint is untouched ({self._last_good(runner)}); lower '
                    'optim_wrapper.optimizer.lr or set optim_wrapper.clip_grad, and go on with '
                    '--resume'
                )
        if 'optimizer' in checkpoint:
            checkpoint[STATE_KEY] = {
                'generators': self._generators or [generator_states()],
                'validated': self._validated,
            }

    def _last_good(self, runner: Runner) -> str:
        pointer = Path(runner.work_dir) / POINTER
        return Path(pointer.read_text(encoding='utf-8')).name if pointer.is_file() else 'none yet'

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        """Write the checkpoint, then the pointer to it; then delete what is not to be kept."""
        if not self._is_local:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        outdated: list[int] = []
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            kept = [*self.keep_ckpt_ids, step]
            outdated = kept[: -self.max_keep_ckpts]
            self.keep_ckpt_ids.append(step)
            # those to be deleted too: a training that is killed now deletes them when it goes on
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = os.path.join(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._generators = all_gather_object(generator_states())  # of every process
        _WholeFiles(runner).save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        pointer = Path(runner.work_dir) / POINTER
        write_whole(pointer, lambda part: part.write_text(str(self.last_ckpt), encoding='utf-8'))
        for old in outdated:
            Path(self.out_dir, self.filename_tmpl.format(old)).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Write the best checkpoint, and delete the one before it when the new one stands."""
        if not self._is_local:
            super()._save_best_checkpoint(runner, metrics)
            return
        backend, later = self.file_backend, _LaterRemovals()
        self.file_backend = later
        try:
            super()._save_best_checkpoint(_WholeFiles(runner), metrics)
        finally:
            self.file_backend = backend
        for path in later.removals:
            # the same name where the same epoch was validated again
            if path not in self._best_paths():
                path.unlink(missing_ok=True)

    def _best_paths(self) -> set[Path]:
        paths = [getattr(self, 'best_ckpt_path', None)]
        paths += getattr(self, 'best_ckpt_path_dict', {}).values()
        return {Path(path) for path in paths if path}


class _LaterRemovals(LocalBackend):
    """The local disk, where nothing is removed yet."""

    def __init__(self) -> None:
        super().__init__()
        self.removals: list[Path] = []

    def remove(self, filepath: str | Path) -> None:
        """Note what is to be removed."""
        self.removals.append(Path(filepath))


class _WholeFiles:
    """The runner, as :class:`CheckpointHook` sees it, whose checkpoints are whole or absent."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint as a whole."""
        save = self._runner.save_checkpoint
        if isinstance(self._runner, _WholeFiles) or not is_main_process():
            save(out_dir, filename, *args, **kwargs)
            return
        write_whole(Path(out_dir, filename), lambda part: save(out_dir, part.name, *args, **kwargs))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let a file appear as a whole, or not at all.

    Args:
        path: The file.
        write: Writes the content to the path it is given, in the same folder.

    Raises:
        CheckpointError: It can't be written; the file of that name is as it was.
    """
    part = path.with_name(path.name + _PART)
    try:
        write(part)
        with part.open('rb') as file:
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"'{path}' can't be written ({error.strerror or error}): the checkpoints before it are "
            'kept; make room, or name another folder with --work-dir, and go on with --resume'
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Let the disk know of a new name, where folders can be synchronised."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network disks refuse it
        pass
    finally:
        os.close(descriptor)
