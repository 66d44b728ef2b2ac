"""A comparison whose models learn the cells that have no box, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import ConfigError
from .cell_mining import CellMining
from .comparison import Comparison, Model
from .detector_stages import DetectorStages
from .stages import Stage

__all__ = ['MinedComparison']


class MinedComparison(Comparison):
    """Mines the training set with the teacher first (:class:`CellMining`), then trains the models.

    Models without any part of the method learn the boxes alone; all others learn the mined cells
    too. The whole method looks for cells itself from the second round on.

    Args:
        models: As of :func:`find_models`; one of them is the teacher.
        rounds: How many look for cells, one after the other, >= 1 (:class:`CellMining`).
        hidden: Share of the boxes that is hidden from them, in (0, 1).
        **others: Of :class:`Comparison`.

    Raises:
        ConfigError: If there is no teacher, the models are trained on several sets.
    """

    def __init__(
        self, models: Sequence[Model], rounds: int = 1, hidden: float = 0.2, **others: Any
    ) -> None:
        self._rounds, self._hidden = rounds, hidden
        self._mining: CellMining | None = None
        if not any(model.is_teacher for model in models):
            raise ConfigError(
                '--rounds: expected a config with a teacher, which finds the cells without a box; '
                'found none in ' + ', '.join(model.path.name for model in models)
            )
        super().__init__(models, **others)

    @property
    def mining(self) -> CellMining:
        """The stages that mine; all seeds share them, as they share the teacher."""
        if self._mining is None:
            assert self.teacher is not None  # checked at the start
            self._mining = CellMining(
                DetectorStages(self.out, self.amp, self.processes),
                'mining',
                '',
                self.teacher.config,
                self._annotations(),
                self._hidden,
                self.seeds[0],
                rounds=self._rounds,
                student=self._student(),
            )
        return self._mining

    def _student(self) -> Config:
        """Config that looks for cells from the second round on: with most of the method."""
        taught = [model for model in self.models if 'teacher' in model.parts]
        return max(taught, key=lambda model: len(model.parts)).config

    def _annotations(self) -> Path:
        """The boxes that the models with a part of the method are trained on."""
        sets = [model.config.train_dataloader.dataset for model in self.models if model.parts]
        files = {(Path(data.data_root) / data.ann_file).resolve() for data in sets}
        if len(files) != 1:
            raise ConfigError(
                '--rounds: expected models that are trained on one annotation file, found '
                + ', '.join(sorted(map(str, files)))
            )
        return files.pop()

    def folder(self, model: Model, seed: int) -> Path:
        """Work directory of a training; the teacher's is that of the one that mined."""
        if model.is_teacher:
            return self.mining.teacher.outputs[0].parent
        return super().folder(model, seed)

    def config_path(self, model: Model, seed: int) -> Path:
        """Config of one training."""
        if model.is_teacher:
            return self.folder(model, seed) / 'config.py'
        return super().config_path(model, seed)

    def make_config(self, model: Model, seed: int) -> Config:
        """Set seed, teacher and mined cells in a config."""
        config = super().make_config(model, seed)
        if model.parts:
            self.mining.show_mined(config)
        return config

    def data_stages(self) -> list[Stage]:
        """The stages that mine, the teacher's training among them."""
        return self.mining.all

    def teacher_in_data(self) -> Stage:
        """Return the training of the teacher that mined."""
        return self.mining.teacher
