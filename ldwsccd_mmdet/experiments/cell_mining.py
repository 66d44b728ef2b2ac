"""From a set whose boxes are incomplete to the cells that have none, as stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config

from ..datasets.coco_json import load_coco, read_coco
from ..errors import ConfigError, check_argument
from ..evaluation.predictions import load_predictions
from ..models import SSDStudentHead
from ..models.losses.local_distillation_loss import WEIGHTS
from ..preparation.missing_boxes import hide_boxes, mine_missing_boxes
from .detector_stages import DetectorStages, training_config, write_coco
from .stages import Stage
from .teaching import Teaching

__all__ = [
    'FAR_WEIGHT',
    'CellMining',
    'colours',
    'distillation',
    'learn_all_negatives',
    'negatives',
]

FAR_WEIGHT = 0.1
"""What background away from all boxes weighs where cells have no box."""


class CellMining(Teaching):
    """Hides boxes, trains a teacher on the others, and mines what it finds.

    With more rounds, what one found teaches the next (:func:`mine_missing_boxes`); the hidden boxes
    stay hidden. The first to look is the teacher,
    each later one a student of the whole method, taught by that teacher and by the finds: it frames
    cells better than another teacher did (docs/tried.md).

    To none of them all cells have a box, nor to the students that learn what was mined, and an
    SSD's hardest negatives are the cells that have none. So all learn all of the background, what
    is far from the boxes less: an :class:`SSDStudentHead` has ``far_weight=FAR_WEIGHT``, unless its
    config names another.

    Args:
        stages: What makes the stages.
        name: Folder of these stages within that of the run; '' is that one.
        where: Which labels these are, for the titles.
        config: Config of the teacher.
        annotations: The boxes that there are, once ``needs`` are done.
        hidden: Share of the boxes that is hidden from the teachers, in (0, 1).
        seed: Of the choice of boxes and of the training.
        needs: Stages that make ``annotations``.
        rounds: How many look for cells, one after the other, >= 1.
        student: Config of the whole method; more than one round needs it.

    Attributes:
        teacher: The stage that trains the teacher.
        config: Its config.
        last: The last stage; its output is ``mined.json`` (:func:`mine_missing_boxes`).
        all: All stages, in order.
    """

    def __init__(
        self,
        stages: DetectorStages,
        name: str,
        where: str,
        config: Config,
        annotations: Path,
        hidden: float,
        seed: int,
        needs: Sequence[Stage] = (),
        rounds: int = 1,
        student: Config | None = None,
    ) -> None:
        check_argument(rounds >= 1, 'rounds', 'a whole number >= 1', rounds)
        self._stages = stages
        self._folder = stages.out / name
        self._prefix = f'{name}/' if name else ''
        self._where = where
        self._annotations = annotations
        self._learned = self._folder / 'hidden' / 'learned.json'
        hiding = stages.work(
            f'{self._prefix}hidden',
            f'Hide boxes from the teacher{where}',
            lambda show: write_coco(
                self._learned, hide_boxes(load_coco(annotations), hidden, seed)
            ),
            ['learned.json'],
            dict(annotations=str(annotations), hidden=hidden, seed=seed),
            needs,
        )
        self.config = self._learning(config, seed)
        self.teacher = stages.training(
            f'{self._prefix}teacher', f'Train teacher{where}', self.config, [hiding]
        )
        self.all = [hiding]
        self.last = self._round(1, rounds == 1, self.config, self.teacher)
        for number in range(2, rounds + 1):
            if student is None:
                raise ConfigError('rounds: expected a config of the whole method for the second')
            config = self._learning(student, seed)
            self.teach(config)
            self.show_mined(config)
            training = stages.training(
                f'{self._prefix}student{_suffix(number - 1)}',
                f'Train student, round {number - 1}{where}',
                config,
                [self.last],
            )
            self.last = self._round(number, number == rounds, config, training)

    def _learning(self, config: Config, seed: int) -> Config:
        """Config of a detector that learns the boxes that are not hidden."""
        config = training_config(config, seed)
        config.train_dataloader.dataset.ann_file = str(self._learned)
        learn_all_negatives(config)
        return config

    def _round(self, number: int, last: bool, config: Config, training: Stage) -> Stage:
        """Add the stages of one that looks for cells; returns the one that mines."""
        suffix = _suffix(number)
        title = f'{f", round {number}" if number > 1 else ""}{self._where}'
        finding = self._stages.test(
            f'{self._prefix}finds{suffix}',
            f'Find cells on the training images{title}',
            config,
            training,
            self._annotations,
            ['model.test_cfg.score_thr=0.01'],
        )
        name = f'mined{suffix}' if last else f'taught{suffix}'
        path = self._folder / name / 'mined.json'
        finds = finding.outputs[0]
        first = None if number == 1 else self._folder / 'taught' / 'mined.json'
        mined = self._stages.work(
            f'{self._prefix}{name}',
            f'Mine cells without a box{title}',
            lambda show: write_coco(path, self._mine(finds, not last, first)),
            ['mined.json'],
            needs=[finding],
        )
        self.all += [training, finding, mined]
        return mined

    def _mine(self, finds: Path, blind: bool, first: Path | None) -> Mapping[str, Any]:
        shares = None
        if first is not None:
            report = read_coco(first).content['info']['mined']
            shares = {row['name']: row['hidden_share'] for row in report}
        return mine_missing_boxes(
            load_coco(self._annotations),
            load_coco(self._learned),
            load_predictions(finds),
            blind=blind,
            hidden_shares=shares,
        )[0]

    def show_mined(self, config: Config) -> None:
        """Give a student what was mined; that is not all, so it learns as those who look do."""
        config.train_dataloader.dataset.mined_file = str(self.last.outputs[0])
        learn_all_negatives(config)


def learn_all_negatives(config: Config) -> None:
    """Set ``far_weight`` where the head has it, and the config says nothing of it."""
    head = config.model.get('bbox_head') or {}
    kind = MODELS.get(head['type']) if 'type' in head else None
    if isinstance(kind, type) and issubclass(kind, SSDStudentHead):
        head.setdefault('far_weight', FAR_WEIGHT)


def negatives(config: Config) -> str:
    """What a head learns of the background: 'hard' as SSD, or 'all' and what far ones weigh."""
    weight = (config.model.get('bbox_head') or {}).get('far_weight')
    return 'hard' if weight is None else f'all, far {weight:g}'


def colours(config: Config) -> str:
    """Whether red, green and blue keep their order in training images, or change places in some."""
    steps = [step['type'] for step in config.train_dataloader.dataset.get('pipeline') or ()]
    return 'changing places' if 'PhotoMetricDistortion' in steps else 'in order'


def distillation(config: Config) -> str:
    """What a student learns from a teacher: by which weights its maps, and whether its logits."""
    loss = config.model.get('distillation')
    if not (config.model.get('teacher') and loss):
        return ''
    if loss.get('share') is not None:
        weights = dict(share=loss.share)
    else:
        weights = {name: loss.get(name, value) for name, value in WEIGHTS.items()}
    parts = [f'{name} {value:g}' for name, value in weights.items()]
    if loss.type != 'LocalDistillationLoss':
        parts = [loss.type]
    return ', '.join([*parts, *(['logits'] if config.model.get('logit_distillation') else [])])


def _suffix(number: int) -> str:
    """What tells the folders of a later round from those of the first."""
    return f'_{number}' if number > 1 else ''
