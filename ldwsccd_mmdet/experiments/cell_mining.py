"""From a set whose boxes are incomplete to the cells that have none, as stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..datasets.coco_json import load_coco, read_coco
from ..errors import check_argument
from ..evaluation.predictions import load_predictions
from ..preparation.missing_boxes import hide_boxes, mine_missing_boxes
from .detector_stages import DetectorStages, training_config, write_coco
from .stages import Stage

__all__ = ['CellMining']


class CellMining:
    """Hides boxes, trains a teacher on the others, and mines what it finds.

    With more rounds, what a teacher found teaches the next one, which finds more
    (:func:`mine_missing_boxes`); the hidden boxes stay hidden.

    Args:
        stages: What makes the stages.
        name: Folder of these stages within that of the run; '' is that one.
        where: Which labels these are, for the titles.
        config: Config of the teacher.
        annotations: The boxes that there are, once ``needs`` are done.
        hidden: Share of the boxes that is hidden from the teachers, in (0, 1).
        seed: Of the choice of boxes and of the training.
        needs: Stages that make ``annotations``.
        rounds: How many teachers there are, one after the other, >= 1.

    Attributes:
        teacher: The stage that trains the last teacher.
        config: Its config.
        mined: The last stage; its output is ``mined.json`` (:func:`mine_missing_boxes`).
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
        self.config = training_config(config, seed)
        self.config.train_dataloader.dataset.ann_file = str(self._learned)
        self.all = [hiding]
        before: Stage | None = None
        for number in range(1, rounds + 1):
            if before is not None:
                self.config = Config(self.config.to_dict())
                self.config.train_dataloader.dataset.mined_file = str(before.outputs[0])
            before = self._round(number, number == rounds, before)
        self.teacher, self.mined = self.all[-3], self.all[-1]

    def _round(self, number: int, last: bool, before: Stage | None) -> Stage:
        """Add the stages of a teacher; returns the one that mines."""
        suffix = f'_{number}' if number > 1 else ''
        title = f'{f" {number}" if number > 1 else ""}{self._where}'
        needs = [self.all[0]] if before is None else [before]
        teacher = self._stages.training(
            f'{self._prefix}teacher{suffix}', f'Train teacher{title}', self.config, needs
        )
        finding = self._stages.test(
            f'{self._prefix}finds{suffix}',
            f'Find cells on the training images{title}',
            self.config,
            teacher,
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
        self.all += [teacher, finding, mined]
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

    def teach(self, config: Config) -> None:
        """Give a student the last teacher."""
        config.model.teacher.checkpoint = str(self.teacher.outputs[0])
        config.model.teacher.config = str(self.teacher.outputs[0].parent / 'config.py')
