"""The cells found in one image, whatever found them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..optional import require

__all__ = ['CellDetections']


@dataclass(frozen=True)
class CellDetections:
    """The cells found in one image, best first.

    Attributes:
        bboxes: Boxes ``x1, y1, x2, y2``, shape ``(n, 4)``, in pixels of the image file as it is
            shown (turned as EXIF says); of a slide, of its largest level.
        scores: Scores in [0, 1], shape ``(n,)``, falling.
        labels: Class indices, shape ``(n,)``.
        classes: Class names.
        size: Width and height of the image, pixels.
        mpp: Micrometres a pixel, x and y; None where it is not known.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    size: tuple[int, int]
    mpp: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        boxes = np.asarray(self.bboxes, np.float64).reshape(-1, 4)
        scores = np.asarray(self.scores, np.float64).reshape(-1)
        labels = np.asarray(self.labels, np.int64).reshape(-1)
        if not len(boxes) == len(scores) == len(labels):
            raise ValueError(
                'bboxes, scores and labels must be as many, found '
                f'{len(boxes)}, {len(scores)}, {len(labels)}'
            )
        order = np.argsort(-scores, kind='stable')
        for name, value in (('bboxes', boxes), ('scores', scores), ('labels', labels)):
            object.__setattr__(self, name, value[order])

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score_thr: float) -> CellDetections:
        """Return the cells whose score is at least ``score_thr``."""
        return self[self.scores >= score_thr]

    def __getitem__(self, keep: Any) -> CellDetections:
        """Return some of the cells, by a mask, a slice or indices."""
        return replace(
            self, bboxes=self.bboxes[keep], scores=self.scores[keep], labels=self.labels[keep]
        )

    def counts(self) -> dict[str, int]:
        """Count the cells of each class."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, numbers, strict=True)}

    def to_supervision(self) -> Any:
        """Return them as ``supervision.Detections``, with ``class_name`` among its data.

        Raises:
            InputError: supervision is not installed (extra ``supervision``).
        """
        supervision = require('supervision', 'supervision', 'supervision.Detections')
        return supervision.Detections(
            xyxy=self.bboxes.astype(np.float32),
            confidence=self.scores.astype(np.float32),
            class_id=self.labels.astype(int),
            data={'class_name': np.asarray(self.classes, dtype=str)[self.labels]},
        )

    def save(self, path: Path) -> None:
        """Write them to an ``.npz`` file: whole, or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = {'classes': self.classes, 'size': self.size, 'mpp': self.mpp}
        part = path.with_name(path.name + '.part')
        with part.open('wb') as file:
            np.savez_compressed(
                file,
                bboxes=self.bboxes,
                scores=self.scores,
                labels=self.labels,
                meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> CellDetections:
        """Read what :meth:`save` wrote; nothing in the file is run."""
        with np.load(path, allow_pickle=False) as content:
            meta = json.loads(content['meta'].tobytes())
            return cls(
                content['bboxes'],
                content['scores'],
                content['labels'],
                tuple(meta['classes']),
                tuple(meta['size']),
                tuple(meta['mpp']) if meta['mpp'] else None,
            )
