"""What the method gives where boxes are missing: from weak labels to a CSV, as stages."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from pycocotools.coco import COCO

from ..datasets.coco_json import load_coco
from ..engine.config_file import load_config
from ..errors import ConfigError
from ..evaluation.functional.matching import match_detections
from ..evaluation.predictions import load_predictions
from ..preparation.missing_boxes import hide_boxes, mine_missing_boxes
from ..preparation.weak_labels import weaken
from .stages import (
    Show,
    Stage,
    StageRunner,
    command_line,
    run_program,
    test_progress,
    train_progress,
)

__all__ = ['COLUMNS', 'HalfTheBoxes', 'Settings', 'join_sets']

COLUMNS = ('data', 'boxes_kept', 'model', 'score_source', 'seed', 'epochs', 'split', 'AP50')
#: The parts of the method that each model has, in the order of Table 4.
MODELS = {
    'ssd': (),
    'ssd_ldm': ('teacher',),
    'ssd_mil': ('mil_head',),
    'ldwsccd': ('teacher', 'mil_head'),
}
SOURCES = ('ssd', 'mil', 'fused')
# no worker processes: on few cores they fight with the training
PLAIN_LOADERS = {
    f'{split}_dataloader.{key}': value
    for split in ('train', 'test')
    for key, value in (('num_workers', 0), ('persistent_workers', False))
}
NO_VALIDATION = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}


@dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        config: Config of the whole method, with teacher and MIL head.
        data: Name of the data in the CSV.
        out: Folder of the run.
        results: The CSV.
        boxes_kept: Shares of the training boxes that are kept, each in (0, 1].
        seeds: Of the choice of boxes and of the training.
        models: Of ``MODELS``, or 'teacher'.
        epochs: Length of all trainings; None for that of their configs.
        test_files: Annotation files, below the data root, that are tested on together.
        hidden: Share of the kept boxes that is hidden from the teacher.
        amp: Whether to train in mixed precision.
        options: Settings to override in all configs.
    """

    config: Path
    data: str
    out: Path
    results: Path
    boxes_kept: Sequence[float] = (1.0, 0.5, 0.2)
    seeds: Sequence[int] = (0, 1, 2)
    models: Sequence[str] = ('teacher', 'ssd', 'ldwsccd')
    epochs: int | None = None
    test_files: Sequence[str] = ('val.json', 'test.json')
    hidden: float = 0.2
    amp: bool = True
    options: dict[str, Any] | None = None


class HalfTheBoxes:
    """Trains models on shares of the boxes; those with a part of the method learn mined cells too.

    For each share and seed: boxes are left out of the training labels; some of the rest are hidden
    from the teacher; it is trained, and what it finds on the training images is mined
    (:func:`mine_missing_boxes`). The plain SSD learns the boxes that are left; every other model
    learns the mined cells too. Nothing is chosen on the images that are tested on.

    Args:
        settings: What to run.

    Raises:
        ConfigError: If a model is unknown, or the config lacks a part of the method.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.config = _with_epochs(load_config(str(settings.config), settings.options), settings)
        unknown = set(settings.models) - {*MODELS, 'teacher'}
        if unknown:
            raise ConfigError(
                f'--models: expected some of {", ".join([*MODELS, "teacher"])}, found '
                f'{", ".join(sorted(unknown))}'
            )
        for part in ('teacher', 'mil_head'):
            if not self.config.model.get(part):
                raise ConfigError(
                    f'{settings.config}: expected the whole method, found no model.{part}; name '
                    'the config of LD-WSCCD'
                )
        teacher = load_config(self.config.model.teacher.config, settings.options)
        self.teacher_config = _with_epochs(teacher, settings)
        self.root = Path(self.config.train_dataloader.dataset.data_root)
        self.train_file = self.config.train_dataloader.dataset.ann_file
        self.rows: list[tuple[str, Path, dict[str, Any]]] = []
        self.runner = StageRunner(settings.out, list(self._stages()))

    def _stages(self) -> Iterator[Stage]:
        yield self._stage('test_set', 'Join the test sets', self._join, ['test.json'])
        for seed in self.settings.seeds:
            for kept in self.settings.boxes_kept:
                yield from self._stages_of(kept, seed)

    def _stages_of(self, kept: float, seed: int) -> Iterator[Stage]:
        name = f'kept_{kept:g}/seed_{seed}'
        where = f'{100 * kept:g} % of the boxes, seed {seed}'
        labels = self._stage(
            f'{name}/labels',
            f'Leave out boxes: {where}',
            lambda show: self._weaken(kept, seed, name),
            ['train.json', 'learned.json'],
            dict(kept=kept, seed=seed, hidden=self.settings.hidden),
        )
        yield labels
        mined = None
        if set(self.settings.models) - {'ssd'}:
            teacher = self._training('teacher', name, where, seed, [labels])
            yield teacher
            if 'teacher' in self.settings.models:
                yield self._test('teacher', 'ssd', name, where, kept, seed, teacher)
            finds = self._finds(name, where, teacher)
            yield finds
            mined = self._stage(
                f'{name}/mined',
                f'Mine cells without a box: {where}',
                lambda show: self._mine(name),
                ['mined.json'],
                needs=[finds],
            )
            yield mined
        for model in MODELS:
            if model not in self.settings.models:
                continue
            needs = [labels] if mined is None or model == 'ssd' else [labels, mined]
            training = self._training(model, name, where, seed, needs)
            yield training
            for source in SOURCES if 'mil_head' in MODELS[model] else SOURCES[:1]:
                yield self._test(model, source, name, where, kept, seed, training)

    def _stage(
        self,
        name: str,
        title: str,
        run: Any,
        outputs: Sequence[str],
        settings: dict[str, Any] | None = None,
        needs: Sequence[Stage] = (),
        resumable: bool = False,
    ) -> Stage:
        folder = self.settings.out / name
        return Stage(
            name, title, settings or {}, run, needs, resumable, [folder / file for file in outputs]
        )

    def _training(
        self, model: str, name: str, where: str, seed: int, needs: Sequence[Stage]
    ) -> Stage:
        config = self._config(model, name, seed)
        return self._stage(
            f'{name}/{model}',
            f'Train {model}: {where}',
            lambda show: self._train(f'{name}/{model}', config, show),
            [f'epoch_{config.train_cfg.max_epochs}.pth'],
            dict(config=config.to_dict(), amp=self.settings.amp),
            needs,
            resumable=True,
        )

    def _test(
        self,
        model: str,
        source: str,
        name: str,
        where: str,
        kept: float,
        seed: int,
        training: Stage,
    ) -> Stage:
        config = self._config(model, name, seed)
        options = {f'model.test_cfg.score_source={source}'} if model != 'teacher' else set()
        stage = self._stage(
            f'{name}/tests/{model}_{source}',
            f'Test {model} by {source}: {where}',
            lambda show: self._run_test(
                f'{name}/tests/{model}_{source}', config, training, 'test.json', options, show
            ),
            ['predictions.pkl'],
            needs=[training],
        )
        row = dict(
            data=self.settings.data,
            boxes_kept=f'{kept:g}',
            model=model,
            score_source=source,
            seed=seed,
            epochs=config.train_cfg.max_epochs,
            split='+'.join(Path(file).stem for file in self.settings.test_files),
        )
        self.rows.append((stage.name, stage.outputs[0], row))
        return stage

    def _finds(self, name: str, where: str, teacher: Stage) -> Stage:
        config = self._config('teacher', name, 0)
        return self._stage(
            f'{name}/finds',
            f'Find cells on the training images: {where}',
            lambda show: self._run_test(
                f'{name}/finds',
                config,
                teacher,
                f'{name}/labels/train.json',
                {'model.test_cfg.score_thr=0.01'},
                show,
            ),
            ['predictions.pkl'],
            needs=[teacher],
        )

    def _config(self, model: str, name: str, seed: int) -> Config:
        """Config of one training."""
        labels = self.settings.out.resolve() / name
        config = Config((self.teacher_config if model == 'teacher' else self.config).to_dict())
        config.merge_from_dict({**PLAIN_LOADERS, **NO_VALIDATION})
        config.randomness = {**config.get('randomness', {}), 'seed': seed}
        config.default_hooks.checkpoint.max_keep_ckpts = 2
        data = config.train_dataloader.dataset
        data.data_prefix = dict(img=str((self.root / data.data_prefix.img).resolve()))
        data.ann_file = str(labels / 'labels' / 'train.json')
        if model == 'teacher':
            data.ann_file = str(labels / 'labels' / 'learned.json')
            return config
        for part in ('teacher', 'mil_head'):
            if part not in MODELS[model]:
                config.model[part] = None
        if 'teacher' in MODELS[model]:
            folder = labels / 'teacher'
            epochs = self.teacher_config.train_cfg.max_epochs
            config.model.teacher.checkpoint = str(folder / f'epoch_{epochs}.pth')
            config.model.teacher.config = str(folder / 'config.py')
        else:
            config.model.distillation = None
        if model != 'ssd':
            data.mined_file = str(labels / 'mined' / 'mined.json')
        return config

    def _join(self, show: Show) -> None:
        sets = [load_coco(self.root / file) for file in self.settings.test_files]
        _write(self.settings.out / 'test_set' / 'test.json', join_sets(sets))

    def _weaken(self, kept: float, seed: int, name: str) -> None:
        coco = load_coco(self.root / self.train_file)
        if kept < 1:
            coco = weaken(coco, drop=1 - kept, seed=seed)
        folder = self.settings.out / name / 'labels'
        _write(folder / 'train.json', coco)
        _write(folder / 'learned.json', hide_boxes(coco, self.settings.hidden, seed))

    def _mine(self, name: str) -> None:
        folder = self.settings.out / name
        mined, _ = mine_missing_boxes(
            load_coco(folder / 'labels' / 'train.json'),
            load_coco(folder / 'labels' / 'learned.json'),
            load_predictions(folder / 'finds' / 'predictions.pkl'),
        )
        _write(folder / 'mined' / 'mined.json', mined)

    def _train(self, name: str, config: Config, show: Show) -> None:
        folder = self.settings.out / name
        folder.mkdir(parents=True, exist_ok=True)
        resumed = (folder / 'last_checkpoint').is_file()
        config.dump(str(folder / 'config.py'))
        flags = ['--amp'] * self.settings.amp + ['--resume'] * resumed
        log = folder / 'train.log'
        run_program(
            command_line('train', folder / 'config.py', '--work-dir', folder, *flags),
            log,
            lambda: train_progress(log, config.train_cfg.max_epochs, resumed),
            show,
            Path.cwd(),
        )

    def _run_test(
        self,
        name: str,
        config: Config,
        training: Stage,
        annotations: str,
        options: set[str],
        show: Show,
    ) -> None:
        out = self.settings.out.resolve()
        path = out / ('test_set/test.json' if annotations == 'test.json' else annotations)
        config = Config(config.to_dict())
        data = config.test_dataloader.dataset
        data.data_prefix = dict(img=str((self.root / data.data_prefix.img).resolve()))
        data.ann_file = str(path)
        config.test_evaluator = dict(type='CocoMetric', ann_file=str(path), metric='bbox')
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        config.dump(str(folder / 'config.py'))
        log = folder / 'test.log'
        flags = ['--cfg-options', *options] if options else []
        run_program(
            command_line(
                'test',
                folder / 'config.py',
                training.outputs[0],
                '--work-dir',
                folder,
                '--out',
                folder / 'predictions.pkl',
                *flags,
            ),
            log,
            lambda: test_progress(log),
            show,
            Path.cwd(),
        )

    def write(self, show: Show) -> None:
        """Write the CSV: what is finished, beside the rows of other data that it holds already."""
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(self.settings.out / 'test_set' / 'test.json'))
        rows = []
        classes: list[str] = []
        for _, predictions, row in self.rows:
            if predictions.is_file():
                matches = match_detections(truth, load_predictions(predictions))
                ap = 100 * matches.ap_grid[int(np.argmin(abs(matches.ious - 0.5))), 0]
                classes = list(matches.classes)
                by_class = {name: f'{value:.1f}' for name, value in zip(classes, ap, strict=True)}
                rows.append({**row, 'AP50': f'{np.nanmean(ap):.1f}', **by_class})
        merge_csv(self.settings.results, rows)


def _with_epochs(config: Config, settings: Settings) -> Config:
    """Set the length of a training; schedules that ended with it still do."""
    if settings.epochs is None:
        return config
    old = config.train_cfg.max_epochs
    config.train_cfg.max_epochs = settings.epochs
    for scheduler in config.get('param_scheduler') or []:
        for key in ('end', 'T_max'):
            if scheduler.get(key) == old and scheduler.get('by_epoch', True):
                scheduler[key] = settings.epochs
    return config


def join_sets(sets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join COCO sets of the same categories into one, with new ids.

    Raises:
        ConfigError: If their categories differ.
    """
    joined: dict[str, Any] = dict(images=[], annotations=[], categories=sets[0]['categories'])
    for coco in sets:
        if coco['categories'] != joined['categories']:
            raise ConfigError('the sets to be tested on together differ in their categories')
        ids = {}
        for image in coco['images']:
            ids[image['id']] = len(joined['images']) + 1
            joined['images'].append({**image, 'id': ids[image['id']]})
        for a in coco['annotations']:
            number = len(joined['annotations']) + 1
            joined['annotations'].append({**a, 'id': number, 'image_id': ids[a['image_id']]})
    return joined


def merge_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows into a CSV; of rows that differ in AP50 alone the new one stays."""
    old: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline='', encoding='utf-8') as file:
            old = list(csv.DictReader(file))

    def key(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[column]) for column in COLUMNS[:-1])

    merged = {key(row): row for row in [*old, *rows]}
    extra = dict.fromkeys(name for row in merged.values() for name in row if name not in COLUMNS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, [*COLUMNS, *extra], restval='', lineterminator='\n')
        writer.writeheader()
        writer.writerows(merged.values())


def _write(path: Path, coco: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco, allow_nan=False), encoding='utf-8')
