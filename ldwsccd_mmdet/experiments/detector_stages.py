"""Stages that train and test detectors, each in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..engine.find_checkpoint import may_resume
from .stages import Show, Stage, command_line, run_program, test_progress, train_progress

__all__ = ['DetectorStages', 'training_config', 'with_epochs', 'write_coco']

# no worker processes: on few cores they fight with the training
PLAIN_LOADERS = {
    f'{split}_dataloader.{key}': value
    for split in ('train', 'test')
    for key, value in (('num_workers', 0), ('persistent_workers', False))
}
NO_VALIDATION = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}


class DetectorStages:
    """Makes the stages of a run that trains detectors and tests them.

    Args:
        out: Folder of the run.
        amp: Whether to train in mixed precision.
        processes: How many processes share a training, each with the batch of the config.
    """

    def __init__(self, out: Path, amp: bool = True, processes: int = 1) -> None:
        self.out = out.resolve()
        self.amp = amp
        self.processes = processes

    def work(
        self,
        name: str,
        title: str,
        run: Callable[[Show], None],
        outputs: Sequence[str],
        settings: Mapping[str, Any] | None = None,
        needs: Sequence[Stage] = (),
    ) -> Stage:
        """A stage that calls a function; ``outputs`` lie in its folder."""
        files = [self.out / name / file for file in outputs]
        return Stage(name, title, dict(settings or {}), run, needs, False, files)

    def training(self, name: str, title: str, config: Config, needs: Sequence[Stage]) -> Stage:
        """A stage that trains; its one output is the last checkpoint."""
        folder = self.out / name
        epochs = config.train_cfg.max_epochs

        def train(show: Show) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            resumed = may_resume(folder)
            config.dump(str(folder / 'config.py'))
            flags = ['--amp'] * self.amp + ['--resume'] * resumed
            words = ['train', folder / 'config.py', '--work-dir', folder, *flags]
            command = command_line(*words, processes=self.processes)
            log = folder / 'train.log'
            run_program(command, log, lambda: train_progress(log, epochs, resumed), show)

        settings = dict(config=config.to_dict(), amp=self.amp)
        if self.processes > 1:
            settings['processes'] = self.processes
        outputs = [folder / f'epoch_{epochs}.pth']
        return Stage(name, title, settings, train, needs, True, outputs)

    def test(
        self,
        name: str,
        title: str,
        config: Config,
        training: Stage,
        annotations: Path,
        options: Sequence[str] = (),
    ) -> Stage:
        """A stage that tests what a training left; its one output are the predictions.

        Args:
            name: Of the stage, and its folder.
            title: What is shown.
            config: Of the training.
            training: That stage.
            annotations: What is tested on, images beside those of the config.
            options: Settings to override, KEY=VALUE.
        """
        folder = self.out / name
        config = Config(config.to_dict())
        config.test_dataloader.dataset.ann_file = str(annotations)
        config.test_evaluator = dict(type='CheckedCocoMetric', metric='bbox')

        def test(show: Show) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            config.dump(str(folder / 'config.py'))
            out = ['--work-dir', folder, '--out', folder / 'predictions.pkl']
            flags = ['--cfg-options', *options] if options else []
            command = command_line('test', folder / 'config.py', training.outputs[0], *out, *flags)
            log = folder / 'test.log'
            run_program(command, log, lambda: test_progress(log), show)

        settings = dict(annotations=str(annotations), options=list(options))
        return Stage(name, title, settings, test, [training], False, [folder / 'predictions.pkl'])


def training_config(config: Config, seed: int) -> Config:
    """A copy of a config, with a seed, without validation, its images named by absolute paths."""
    root = Path(config.train_dataloader.dataset.data_root)
    config = Config(config.to_dict())
    config.merge_from_dict({**PLAIN_LOADERS, **NO_VALIDATION})
    config.randomness = {**config.get('randomness', {}), 'seed': seed}
    config.default_hooks.checkpoint.max_keep_ckpts = 2
    for split in ('train', 'test'):
        data = config[f'{split}_dataloader'].dataset
        data.data_prefix = dict(img=str((root / data.data_prefix.img).resolve()))
    return config


def with_epochs(config: Config, epochs: int | None) -> Config:
    """Set the length of a training; schedules that ended with it still do."""
    if epochs is None:
        return config
    old = config.train_cfg.max_epochs
    config.train_cfg.max_epochs = epochs
    for scheduler in config.get('param_scheduler') or []:
        for key in ('end', 'T_max'):
            if scheduler.get(key) == old and scheduler.get('by_epoch', True):
                scheduler[key] = epochs
    return config


def write_coco(path: Path, coco: Mapping[str, Any]) -> None:
    """Write a COCO json, and the folder it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco, allow_nan=False), encoding='utf-8')
