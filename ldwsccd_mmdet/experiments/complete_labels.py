"""A teacher of labels that lack no box, as a stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from .detector_stages import DetectorStages, training_config
from .stages import Stage
from .teaching import Teaching

__all__ = ['CompleteLabels']


class CompleteLabels(Teaching):
    """A teacher for labels of which no box is missing: it learns them all, and nobody looks.

    Its negatives are those of its config, an SSD's hardest ones: where every cell has a box, they
    are what looks most like a cell and is none.

    Args:
        stages: What makes the stages.
        name: Folder of the teacher within that of the run.
        where: Which labels these are, for the title.
        config: Config of the teacher.
        annotations: The boxes, once ``needs`` are done.
        seed: Of the training.
        needs: Stages that make ``annotations``.
    """

    def __init__(
        self,
        stages: DetectorStages,
        name: str,
        where: str,
        config: Config,
        annotations: Path,
        seed: int,
        needs: Sequence[Stage] = (),
    ) -> None:
        self.config = training_config(config, seed)
        self.config.train_dataloader.dataset.ann_file = str(annotations)
        self.teacher = stages.training(name, f'Train teacher{where}', self.config, needs)
        self.last, self.all = self.teacher, [self.teacher]
