"""How many cells of a training set have no box, and where: from a config to the answer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ..datasets.coco_json import load_coco, read_coco
from ..engine.config_file import load_config
from ..errors import ConfigError, check_argument
from ..visualization.mined_box_pictures import draw_mined_boxes
from .cell_mining import CellMining, learn_all_negatives
from .detector_stages import DetectorStages, with_epochs
from .stages import Show, StageRunner

__all__ = ['MissingCells']


class MissingCells:
    """Mines the training set of a config with its own teacher, and draws what was mined.

    Args:
        config: Config of a student with a teacher; its training set is mined.
        out: Folder of the run.
        epochs: Length of all trainings; None for that of their configs.
        hidden: Share of the boxes that is hidden from those who look, in (0, 1).
        seed: Of the hidden boxes and of the trainings.
        num: How many images are drawn, those with the most mined cells.
        amp: Whether to train in mixed precision.
        rounds: How many look for cells, one after the other (:class:`CellMining`).
        options: Settings to override in both configs.

    Attributes:
        runner: The stages.
        mined: What was mined, once it was read.

    Raises:
        ConfigError: If the config has no teacher, or an argument is outside its range.
    """

    def __init__(
        self,
        config: Path,
        out: Path,
        epochs: int | None = None,
        hidden: float = 0.2,
        seed: int = 0,
        num: int = 24,
        amp: bool = True,
        rounds: int = 1,
        options: dict[str, Any] | None = None,
    ) -> None:
        check_argument(0 < hidden < 1, '--fraction', 'a number between 0 and 1', hidden)
        student = load_config(str(config), options, ('model',))
        if not student.model.get('teacher'):
            raise ConfigError(
                f'{config}: expected a config with a teacher, found no model.teacher; name the '
                'config of LD-WSCCD'
            )
        self.config = config
        data = student.train_dataloader.dataset
        root = Path(data.data_root)
        self.annotations = (root / data.ann_file).resolve()
        self.images = (root / data.data_prefix.img).resolve()
        stages = DetectorStages(out, amp)
        teacher = with_epochs(load_config(student.model.teacher.config, options), epochs)
        student = with_epochs(student, epochs)
        learn_all_negatives(student)
        self._far_weight = (student.model.get('bbox_head') or {}).get('far_weight')
        self.mining = CellMining(
            stages, '', '', teacher, self.annotations, hidden, seed, (), rounds, student
        )
        self.pictures = stages.out / 'pictures'
        draw = stages.work(
            'pictures',
            'Draw the images with the most mined cells',
            lambda show: self._draw(num),
            [],
            dict(num=num),
            [self.mining.last],
        )
        self.runner = StageRunner(stages.out, [*self.mining.all, draw])
        self.mined: dict[str, Any] = {}

    def _draw(self, num: int) -> None:
        draw_mined_boxes(load_coco(self.annotations), self._read(), self.images, self.pictures, num)

    def _read(self) -> dict[str, Any]:
        # not load_coco: that nothing was mined is no error
        return read_coco(self.mining.last.outputs[0]).content

    def read(self, show: Show) -> None:
        """Read what was mined."""
        self.mined = self._read()

    def summary(self) -> str:
        """What was found, class by class, and the command that trains the student with it."""
        lines = []
        for row in self.mined['info']['mined']:
            missing = 100 * (1 - row['kept_share'])
            alone = ' (the share of all classes: too few were found)' if row['pooled'] else ''
            lines.append(
                f'{row["name"]}: {row["boxes"]} boxes; about {missing:.0f} % of the cells may have '
                f'no box{alone}; {row["mined"]} finds, of which about {row["expected"]:.0f} are '
                'cells'
            )
        checkpoint, mined = self.mining.teacher.outputs[0], self.mining.last.outputs[0]
        command = [
            *('ldwsccd', 'train', str(self.config), '--amp', '--cfg-options'),
            f'train_dataloader.dataset.mined_file={mined}',
            f'model.teacher.checkpoint={checkpoint}',
            f'model.teacher.config={checkpoint.parent / "config.py"}',
        ]
        if self._far_weight is not None:
            command.append(f'model.bbox_head.far_weight={self._far_weight:g}')
        lines.append(f'Pictures: {self.pictures}')
        lines.append(f'Train with them: {shlex.join(command)}')
        return '\n'.join(lines)
