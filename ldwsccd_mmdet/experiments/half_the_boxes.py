"""What the method gives where boxes are missing: from weak labels to a CSV, as stages."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from pycocotools.coco import COCO

from ..csv_table import records, write_csv
from ..datasets.coco_json import load_coco, read_coco
from ..engine.config_file import drop_teacher, load_config
from ..errors import ConfigError
from ..evaluation.functional.matching import match_detections
from ..evaluation.predictions import load_predictions
from ..preparation.weak_labels import weaken
from ..regular_files import read_text
from .cell_mining import CellMining, colours, distillation, learn_all_negatives, negatives
from .complete_labels import CompleteLabels
from .detector_stages import DetectorStages, training_config, with_epochs, write_coco
from .mined_boxes import MINED_COLUMNS, judge_mined_boxes
from .stages import Show, Stage, StageRunner
from .teaching import Teaching

__all__ = ['COLUMNS', 'HalfTheBoxes', 'Settings', 'join_sets']

COLUMNS = (
    'data',
    'boxes_kept',
    'model',
    'rounds',
    'negatives',
    'distillation',
    'colours',
    'score_source',
    'seed',
    'epochs',
    'split',
    'AP50',
)
MINED_KEYS = ('data', 'boxes_kept', 'rounds', 'negatives', 'colours', 'seed', 'epochs')
#: The parts of the method that each model has, in the order of Table 4. What learns no mined cells
#: is SSD as the paper trains it, and SSD taught by all of the background as the method is.
MODELS = {
    'ssd': (),
    'ssd_all_negatives': (),
    'ssd_ldm': ('teacher',),
    'ssd_mil': ('mil_head',),
    'ldwsccd': ('teacher', 'mil_head'),
}
PLAIN = tuple(model for model, parts in MODELS.items() if not parts)
SOURCES = ('ssd', 'mil', 'fused')


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
        rounds: How many look for cells, one after the other (:class:`CellMining`); 0 where every
            cell has its box (:class:`CompleteLabels`).
        amp: Whether to train in mixed precision.
        options: Settings to override in all configs.
        processes: How many processes share a training, each with the batch of the config.
    """

    config: Path
    data: str
    out: Path
    results: Path
    boxes_kept: Sequence[float] = (1.0, 0.5, 0.2)
    seeds: Sequence[int] = (0, 1, 2)
    models: Sequence[str] = ('teacher', *PLAIN, 'ldwsccd')
    epochs: int | None = None
    test_files: Sequence[str] = ('val.json', 'test.json')
    hidden: float = 0.2
    rounds: int = 1
    amp: bool = True
    options: dict[str, Any] | None = None
    processes: int = 1


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
        config = load_config(str(settings.config), settings.options, ('model',))
        self.config = with_epochs(config, settings.epochs)
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
        self.teacher_config = with_epochs(teacher, settings.epochs)
        self.stages = DetectorStages(settings.out, settings.amp, settings.processes)
        self.test_set = self.stages.out / 'test_set' / 'test.json'
        self.root = Path(self.config.train_dataloader.dataset.data_root)
        self.train_file = self.config.train_dataloader.dataset.ann_file
        self.rows: list[tuple[Path, dict[str, Any]]] = []
        self.mined: list[tuple[Path, Path, dict[str, Any]]] = []
        self.runner = StageRunner(settings.out, list(self._stages()))

    def _stages(self) -> Iterator[Stage]:
        yield self.stages.work('test_set', 'Join the test sets', self._join, ['test.json'])
        for seed in self.settings.seeds:
            for kept in self.settings.boxes_kept:
                yield from self._stages_of(kept, seed)

    def _stages_of(self, kept: float, seed: int) -> Iterator[Stage]:
        name = f'kept_{kept:g}/seed_{seed}'
        where = f': {100 * kept:g} % of the boxes, seed {seed}'
        train = self.stages.out / name / 'labels' / 'train.json'
        labels = self.stages.work(
            f'{name}/labels',
            f'Leave out boxes{where}',
            lambda show: self._weaken(kept, seed, train),
            ['train.json'],
            dict(kept=kept, seed=seed),
        )
        yield labels
        teaching = None
        if not set(self.settings.models) <= set(PLAIN):
            teaching = self._teaching(name, where, train, seed, labels)
            yield from teaching.all
            row = self._row('teacher', 'ssd', kept, seed, teaching.config)
            if isinstance(teaching, CellMining):
                epochs = self.teacher_config.train_cfg.max_epochs
                found = dict(row, rounds=self.settings.rounds, epochs=epochs)
                self.mined.append((train, teaching.last.outputs[0], found))
            if 'teacher' in self.settings.models:
                path = f'{name}/tests/{Path(teaching.teacher.name).name}_ssd'
                yield self._test(path, where, teaching.config, teaching.teacher, row)
        for model in MODELS:
            if model not in self.settings.models:
                continue
            config = self._config(model, train, seed, teaching)
            needs = [labels] if teaching is None or model in PLAIN else [labels, teaching.last]
            suffix = '' if model in PLAIN else self._suffix
            training = self.stages.training(
                f'{name}/{model}{suffix}', f'Train {model}{where}', config, needs
            )
            yield training
            for source in SOURCES if 'mil_head' in MODELS[model] else SOURCES[:1]:
                # what the one who looked learned, where one did
                learns = config if teaching is None or model in PLAIN else teaching.config
                row = self._row(model, source, kept, seed, learns)
                row['distillation'] = distillation(config)
                option = [f'model.test_cfg.score_source={source}']
                path = f'{name}/tests/{model}{suffix}_{source}'
                yield self._test(path, where, config, training, row, option)

    def _teaching(self, name: str, where: str, train: Path, seed: int, labels: Stage) -> Teaching:
        if self.settings.rounds == 0:
            teacher = f'{name}/teacher{self._suffix}'
            return CompleteLabels(
                self.stages, teacher, where, self.teacher_config, train, seed, [labels]
            )
        return CellMining(
            self.stages,
            name,
            where,
            self.teacher_config,
            train,
            self.settings.hidden,
            seed,
            [labels],
            self.settings.rounds,
            self.config,
        )

    def _test(
        self,
        name: str,
        where: str,
        config: Config,
        training: Stage,
        row: dict[str, Any],
        options: Sequence[str] = (),
    ) -> Stage:
        title = f'Test {row["model"]} by {row["score_source"]}{where}'
        stage = self.stages.test(name, title, config, training, self.test_set, options)
        self.rows.append((stage.outputs[0], {**row, 'epochs': config.train_cfg.max_epochs}))
        return stage

    @property
    def _suffix(self) -> str:
        """What tells the folders of a run with several rounds, or none, from those with one."""
        return f'_{self.settings.rounds}' if self.settings.rounds != 1 else ''

    def _row(
        self, model: str, source: str, kept: float, seed: int, learns: Config
    ) -> dict[str, Any]:
        rounds = self.settings.rounds
        return dict(
            data=self.settings.data,
            boxes_kept=f'{kept:g}',
            model=model,
            rounds=0 if model in PLAIN else min(rounds, 1) if model == 'teacher' else rounds,
            negatives=negatives(learns),
            distillation='',
            colours=colours(learns),
            score_source=source,
            seed=seed,
            split='+'.join(Path(file).stem for file in self.settings.test_files),
        )

    def _config(self, model: str, train: Path, seed: int, teaching: Teaching | None) -> Config:
        """Config of a student."""
        config = training_config(self.config, seed)
        config.train_dataloader.dataset.ann_file = str(train)
        for part in ('teacher', 'mil_head'):
            if part not in MODELS[model]:
                config.model[part] = None
        if 'teacher' not in MODELS[model]:
            drop_teacher(config.model)
        elif teaching is not None:
            teaching.teach(config)
        if model == 'ssd_all_negatives':
            learn_all_negatives(config)
        elif model != 'ssd' and teaching is not None:
            teaching.show_mined(config)
        return config

    def _join(self, show: Show) -> None:
        sets = [load_coco(self.root / file) for file in self.settings.test_files]
        write_coco(self.test_set, join_sets(sets))

    def _weaken(self, kept: float, seed: int, path: Path) -> None:
        coco = load_coco(self.root / self.train_file)
        write_coco(path, weaken(coco, drop=1 - kept, seed=seed) if kept < 1 else coco)

    def write(self, show: Show) -> None:
        """Write the CSV: what is finished, beside the rows of other data that it holds already."""
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(self.test_set))
        rows = []
        classes: list[str] = []
        for predictions, row in self.rows:
            if predictions.is_file():
                matches = match_detections(truth, load_predictions(predictions))
                ap = 100 * matches.ap_grid[int(np.argmin(abs(matches.ious - 0.5))), 0]
                classes = list(matches.classes)
                by_class = {name: f'{value:.1f}' for name, value in zip(classes, ap, strict=True)}
                rows.append({**row, 'AP50': f'{np.nanmean(ap):.1f}', **by_class})
        merge_csv(self.settings.results, rows, COLUMNS)
        self._write_mined()

    def _write_mined(self) -> None:
        """Write how good the mined boxes are, beside the CSV of AP50."""
        complete = load_coco(self.root / self.train_file)
        rows = []
        for train, mined, row in self.mined:
            if mined.is_file():
                content = read_coco(mined).content
                for judged in judge_mined_boxes(complete, load_coco(train), content):
                    rows.append({**{key: row[key] for key in MINED_KEYS}, **judged})
        if rows:
            path = self.settings.results.with_name('mined_boxes.csv')
            merge_csv(path, rows, (*MINED_KEYS, *MINED_COLUMNS), (*MINED_KEYS, 'class'))


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


def merge_csv(
    path: Path,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    keys: Sequence[str] | None = None,
) -> None:
    """Write rows into a CSV; of rows that are alike in ``keys`` the new one stays.

    Args:
        path: The CSV; rows that it has already stay.
        rows: New rows.
        columns: The first columns; others of the rows follow.
        keys: Of ``columns``; all but the last if None.
    """
    old: list[dict[str, Any]] = []
    if path.is_file():
        old = list(csv.DictReader(io.StringIO(read_text(path), newline='')))
    names = columns[:-1] if keys is None else keys
    # a file of an earlier version lacks the newer columns
    merged = {tuple(str(row.get(name, '')) for name in names): row for row in [*old, *rows]}
    extra = dict.fromkeys(name for row in merged.values() for name in row if name not in columns)
    write_csv(path, records(list(merged.values()), [*columns, *extra]))
