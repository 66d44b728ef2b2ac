"""Reading the predictions that ``tools/test.py --out FILE.pkl`` writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import ResultsError
from .number_unpickler import NumberUnpickler

__all__ = ['Detections', 'load_image_paths', 'load_predictions']

_Part = TypeVar('_Part')


@dataclass(frozen=True)
class Detections:
    """The detections of one image.

    Attributes:
        bboxes: Boxes ``x1, y1, x2, y2``, shape ``(n, 4)``, in pixels of the image file.
        scores: Scores in [0, 1], shape ``(n,)``.
        labels: Class indices, from 0, shape ``(n,)``; index ``i`` is the ``i``-th category of the
            annotation file.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score_thr: float) -> Detections:
        """Return the detections whose score is at least ``score_thr``."""
        keep = self.scores >= score_thr
        return Detections(self.bboxes[keep], self.scores[keep], self.labels[keep])


def load_predictions(path: str | Path) -> dict[int, Detections]:
    """Read a file written by ``tools/test.py --out``.

    Only tensors, arrays and plain containers are rebuilt, so that a file from elsewhere cannot
    run code.

    Args:
        path: The ``.pkl`` file.

    Returns:
        The detections of each image, by the image id of the annotation file.

    Raises:
        ResultsError: There is no such file, it is cut short, or it holds something else.
    """
    found = _each(path, lambda s: (int(s['img_id']), _detections(s['pred_instances'])))
    predictions = dict(found)
    if len(predictions) < len(found):
        raise ResultsError(
            f'{path} does not hold predictions of one test: {len(found) - len(predictions)} images '
            'occur twice; write it again with tools/test.py --out'
        )
    if not predictions:
        raise ResultsError(
            f'{path} holds no image: test on a set that has images, with tools/test.py --out'
        )
    return predictions


def load_image_paths(path: str | Path) -> dict[int, str]:
    """Read from the same file where the test found its images.

    Returns:
        The path of each image as the test named it, by image id; those it did not name are absent.

    Raises:
        ResultsError: See :func:`load_predictions`.
    """
    named = _each(path, lambda s: (int(s['img_id']), s['img_path'] if 'img_path' in s else None))
    return {image: str(file) for image, file in named if file is not None}


def _each(path: str | Path, read: Callable[[Any], _Part]) -> list[_Part]:
    """Read a part of each sample of a file."""
    try:
        return [read(sample) for sample in _read(path)]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(
            f'{path} does not hold predictions of an mmdet detector (expected a list of samples '
            f'with img_id and pred_instances): {error!r}; write it again with tools/test.py --out'
        ) from error


def _read(path: str | Path) -> Any:
    """Unpickle the file."""
    path = Path(path)
    if not path.is_file():
        raise ResultsError(
            f'no predictions at {path}: write them with tools/test.py CONFIG CHECKPOINT '
            f'--out {path}'
        )
    try:
        with path.open('rb') as file:
            return NumberUnpickler(file).load()
    except Exception as error:  # bytes cut or changed can make any instruction fail
        cut = isinstance(error, EOFError) or 'truncated' in str(error)
        raise ResultsError(
            f'{path} does not hold predictions of an mmdet detector'
            + (f', or is cut short after {path.stat().st_size} bytes' if cut else '')
            + f' ({error!r}): write it again with tools/test.py --out'
        ) from error


def _detections(instances: Any) -> Detections:
    """Turn ``pred_instances`` into arrays."""
    bboxes = np.asarray(instances['bboxes'], dtype=np.float64).reshape(-1, 4)
    scores = np.asarray(instances['scores'], dtype=np.float64).reshape(-1)
    labels = np.asarray(instances['labels'], dtype=np.int64).reshape(-1)
    if not len(bboxes) == len(scores) == len(labels):
        raise ValueError(f'{len(bboxes)} boxes, {len(scores)} scores, {len(labels)} labels')
    if not (np.isfinite(bboxes).all() and np.isfinite(scores).all()):
        raise ValueError('boxes or scores that are not finite')
    return Detections(bboxes, scores, labels)
