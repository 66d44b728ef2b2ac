"""How many labels of a set are left, and why the others are not: said, or an error."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from mmengine.logging import print_log

from ..errors import DatasetError
from .boxes import first_items

__all__ = ['LOUD', 'LabelCounts', 'warn']

#: Share of the labels from which on their loss is said loudly.
LOUD = 0.1


@dataclass
class LabelCounts:
    """The labels of a set that can be used, and those that can't.

    Attributes:
        source: The set, for messages.
        boxes: Boxes that teach and count.
        crowds: Boxes that are marked as crowd: nothing learns from them, and no detector need find
            them.
        image_labels: Images with labels of their own that can be used.
        lost: What was left out: for each reason the annotation ids, '' where there are none.
        other_classes: Boxes of classes that are not asked for, by class.
        other_labels: Image labels of classes that are not asked for, by name.
        form: What the boxes seem to be, if not x, y, w, h in pixels.
        repeated: Boxes that repeat another of their image and class, to the number.
    """

    source: str
    boxes: int = 0
    crowds: int = 0
    image_labels: int = 0
    lost: dict[str, list[str]] = field(default_factory=dict)
    other_classes: Counter[str] = field(default_factory=Counter)
    other_labels: Counter[str] = field(default_factory=Counter)
    form: str | None = None
    repeated: int = 0

    @property
    def num_lost(self) -> int:
        """Boxes that were left out, for faults alone."""
        return sum(map(len, self.lost.values()))

    @property
    def share_lost(self) -> float:
        """Share of the boxes that cannot teach, in [0, 1]; a few crowds are usual."""
        found = self.boxes + self.crowds + self.num_lost
        return self._num_useless / found if found else 0.0

    @property
    def _num_useless(self) -> int:
        return self.num_lost + (self.crowds if self._many_crowds else 0)

    @property
    def _many_crowds(self) -> bool:
        return self.crowds > LOUD * (self.boxes + self.crowds)

    def problem(self) -> str | None:
        """Say that no label is left, with the reasons and a remedy; None if one is."""
        had_boxes = self.crowds + self.num_lost + sum(self.other_classes.values())
        if self.boxes or (self.image_labels and not had_boxes):
            return None
        if not had_boxes and not self.other_labels:
            return (
                f"'{self.source}' has no box and no image label: nothing can be learnt from it or "
                'measured on it; check that it is the right file, and export its annotations again'
            )
        return (
            f"no label of '{self.source}' is left: {self._reasons() or 'none was there'}; "
            f'{self._remedy()}'
        )

    def check(self) -> None:
        """Raise if no label is left; warn of those that are lost, loudly from a tenth on.

        Raises:
            DatasetError: See :meth:`problem`.
        """
        problem = self.problem()
        if problem is not None:
            raise DatasetError(problem)
        warning = self.warning()
        if warning:
            warn(warning)

    def warning(self) -> str:
        """Say what was left out; empty if nothing was."""
        reasons = self._reasons(crowds=self._many_crowds)
        text = f"'{self.source}': {reasons}" if reasons else ''
        if self.form:
            text = text or f"'{self.source}'"
            text += f'; its boxes look like {self.form}'
        if self.repeated > LOUD * (self.boxes + self.crowds):
            text = text or f"'{self.source}'"
            text += (
                f'; {self.repeated} boxes repeat another one to the number, and no detector can '
                'find a cell twice: take the boxes of one annotator, or each once'
            )
        if text and self.share_lost > LOUD:
            text = (
                f'LABELS ARE LOST, {self.share_lost:.0%} of the boxes ({self._num_useless}): {text}'
            )
        return text

    def _reasons(self, crowds: bool = True) -> str:
        parts = []
        if self.lost:
            kinds = '; '.join(
                f'{len(ids)} {fault}'
                + (f' (annotation ids {first_items(ids)})' if any(ids) else '')
                for fault, ids in sorted(self.lost.items())
            )
            parts.append(f'dropped {self.num_lost} boxes: {kinds}')
        if self.crowds and crowds:
            parts.append(f'{self.crowds} boxes are marked iscrowd, from which nothing learns')
        for what, counts in (('boxes', self.other_classes), ('image labels', self.other_labels)):
            if counts:
                listed = ', '.join(f'{name} ({count})' for name, count in counts.most_common())
                parts.append(f'left out {what} of classes not asked for: {listed}')
        return '; '.join(parts)

    def _remedy(self) -> str:
        """Say what to do about the commonest reason."""
        if self.form:
            return f'the boxes look like {self.form}'
        counts = {
            'lost': self.num_lost,
            'crowd': self.crowds,
            'class': sum(self.other_classes.values()),
            'label': sum(self.other_labels.values()),
        }
        return {
            'lost': 'mend the file, or export it again',
            'crowd': 'set iscrowd to 0: exports of masks often set it to 1 for every cell',
            'class': 'set metainfo.classes to names of the file, spelt as there',
            'label': 'spell the image labels as the categories, or mend metainfo.classes',
        }[max(counts, key=counts.__getitem__)]


def warn(message: str) -> None:
    """Warn in the log of the run."""
    print_log(message, logger='current', level=logging.WARNING)
