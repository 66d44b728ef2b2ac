"""From a set whose boxes are incomplete to the cells that have none, as stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..datasets.coco_json import load_coco
from ..evaluation.predictions import load_predictions
from ..preparation.missing_boxes import hide_boxes, mine_missing_boxes
from .detector_stages import DetectorStages, training_config, write_coco
from .stages import Stage

__all__ = ['CellMining']


class CellMining:
    """Hides boxes, trains a teacher on the others, and mines what it finds.

    Args:
        stages: What makes the stages.
        name: Folder of these stages within that of the run; '' is that one.
        where: Which labels these are, for the titles.
        config: Config of the teacher.
        annotations: The boxes that there are, once ``needs`` are done.
        hidden: Share of the boxes that is hidden from the teacher, in (0, 1).
        seed: Of the choice of boxes and of the training.
        needs: Stages that make ``annotations``.

    Attributes:
        teacher: The stage that trains it.
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
    ) -> None:
        folder = stages.out / name
        prefix = f'{name}/' if name else ''
        learned = folder / 'hidden' / 'learned.json'
        finds = folder / 'finds' / 'predictions.pkl'
        mined = folder / 'mined' / 'mined.json'
        hiding = stages.work(
            f'{prefix}hidden',
            f'Hide boxes from the teacher{where}',
            lambda show: write_coco(learned, hide_boxes(load_coco(annotations), hidden, seed)),
            ['learned.json'],
            dict(annotations=str(annotations), hidden=hidden, seed=seed),
            needs,
        )
        self.config = training_config(config, seed)
        self.config.train_dataloader.dataset.ann_file = str(learned)
        self.teacher = stages.training(
            f'{prefix}teacher', f'Train the teacher{where}', self.config, [hiding]
        )
        finding = stages.test(
            f'{prefix}finds',
            f'Find cells on the training images{where}',
            self.config,
            self.teacher,
            annotations,
            ['model.test_cfg.score_thr=0.01'],
        )
        self.mined = stages.work(
            f'{prefix}mined',
            f'Mine cells without a box{where}',
            lambda show: write_coco(mined, _mine(annotations, learned, finds)),
            ['mined.json'],
            needs=[finding],
        )
        self.all = [hiding, self.teacher, finding, self.mined]

    def teach(self, config: Config) -> None:
        """Give a student this teacher."""
        config.model.teacher.checkpoint = str(self.teacher.outputs[0])
        config.model.teacher.config = str(self.teacher.outputs[0].parent / 'config.py')


def _mine(annotations: Path, learned: Path, finds: Path) -> Mapping[str, Any]:
    coco = load_coco(annotations)
    return mine_missing_boxes(coco, load_coco(learned), load_predictions(finds))[0]
