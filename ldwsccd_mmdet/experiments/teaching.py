"""The teacher of the students of a run, as stages."""

from __future__ import annotations

from mmengine.config import Config

from .stages import Stage

__all__ = ['Teaching']


class Teaching:
    """Who teaches the students, and what is found for them.

    Attributes:
        teacher: The stage that trains the teacher.
        config: Its config.
        last: The stage after which students can learn.
        all: All stages, in order.
    """

    teacher: Stage
    config: Config
    last: Stage
    all: list[Stage]

    def teach(self, config: Config) -> None:
        """Give a student the teacher."""
        config.model.teacher.checkpoint = str(self.teacher.outputs[0])
        config.model.teacher.config = str(self.teacher.outputs[0].parent / 'config.py')

    def show_mined(self, config: Config) -> None:
        """Give a student the cells that were found without a box; by itself none."""
