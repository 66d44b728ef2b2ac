"""How many cells of a set have no box, class by class, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.coco_json import load_coco
from ...errors import DatasetError
from ...evaluation.predictions import Detections, load_predictions
from ..missing_boxes import MIN_HIDDEN, hidden_boxes, kept_share, top_hit_rate, unlearned_finds

__all__ = ['MissingCellsEstimate', 'estimate_missing', 'find_mining', 'read_missing']

REPLICATES = 200
"""How often the images are drawn anew."""
INTERVAL = (5.0, 95.0)
"""Percentiles that are given as low and high."""


@dataclass(frozen=True)
class MissingCellsEstimate:
    """Estimated share of the cells of a class, or of all classes, that have no box.

    Attributes:
        name: Of the class; ``'all classes'`` for all of them.
        boxes: Boxes that there are.
        hidden: How many of them were hidden from the detector.
        found: Hidden boxes that it found all the same.
        pooled: Whether it was judged with all classes together, having found too few.
        missing: Share of the cells without a box, in [0, 1].
        low: 5 % of the replicates lie below.
        high: 5 % of the replicates lie above.
    """

    name: str
    boxes: int
    hidden: int
    found: int
    pooled: bool
    missing: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **asdict(self),
            **{key: round(getattr(self, key), 4) for key in ('missing', 'low', 'high')},
        }

    def __str__(self) -> str:
        alone = ', judged with all classes together' if self.pooled else ''
        return (
            f'{self.name}: about {100 * self.missing:.0f} % of the cells may have no box '
            f'({100 * self.low:.0f} to {100 * self.high:.0f} %{alone})'
        )


class _Sample:
    """What the estimate is made from, for any number of times that each image counts.

    A cell that the detector did not learn is a hidden box with probability e, the top of the share
    of finds that meet one of any class (:mod:`~ldwsccd_mmdet.preparation.missing_boxes`); with r,
    the share of the boxes that was hidden, q = e / (r + e (1 - r)) of the cells have a box.
    """

    def __init__(
        self,
        coco: Mapping[str, Any],
        hidden: list[dict[str, Any]],
        finds: Mapping[str, np.ndarray],
        min_hidden: int,
    ) -> None:
        places = {image['id']: i for i, image in enumerate(coco['images'])}
        labels = {category['id']: i for i, category in enumerate(coco['categories'])}
        shape = (len(places), len(labels))
        self.boxes, self.hidden = (
            _count(annotations, places, labels, shape)
            for annotations in (coco['annotations'], hidden)
        )
        used = ~finds['near']
        order = np.argsort(finds['score'][used], kind='stable')
        self._image = np.array([places[i] for i in finds['image'][used][order].tolist()], int)
        self._label = finds['label'][used][order]
        self._met = (finds['hit'] | finds['other'])[used][order]
        self._min_hidden = min_hidden
        count = len(labels)
        self.found: np.ndarray = np.bincount(finds['label'][finds['hit']], minlength=count)
        met = np.bincount(self._label[self._met], minlength=count)
        self.pooled: np.ndarray = met < min_hidden

    def missing(self, times: np.ndarray) -> np.ndarray:
        """Share of cells without a box, of each class and, last, of all; (C + 1,)."""
        repeats = times[self._image]
        label, met = np.repeat(self._label, repeats), np.repeat(self._met, repeats)
        boxes, hidden = times @ self.boxes, times @ self.hidden
        fraction = hidden.sum() / max(boxes.sum(), 1)
        pool = self._kept(met, fraction)
        kept = np.array(
            [
                pool if pooled else self._kept(met[label == index], fraction)
                for index, pooled in enumerate(self.pooled)
            ]
        )
        cells = boxes / np.maximum(kept, 1e-9)
        total = boxes.sum() / max(cells.sum(), 1e-9) if boxes.any() else 1.0
        return 1 - np.append(kept, total)

    def counts(self) -> list[tuple[int, int, int, bool]]:
        """Boxes, hidden ones, those found, and whether it is pooled, of each class and of all."""
        boxes, hidden = self.boxes.sum(axis=0), self.hidden.sum(axis=0)
        rows = zip(boxes, hidden, self.found, self.pooled, strict=True)
        everything = int(boxes.sum()), int(hidden.sum()), int(self.found.sum()), False
        return [*((int(b), int(h), int(f), bool(p)) for b, h, f, p in rows), everything]

    def _kept(self, met: np.ndarray, fraction: float) -> float:
        if not met.any() or not 0 < fraction < 1:
            return 1.0
        return kept_share(min(top_hit_rate(met, self._min_hidden), 1.0), fraction)


def _count(
    annotations: list[dict[str, Any]],
    places: Mapping[Any, int],
    labels: Mapping[Any, int],
    shape: tuple[int, int],
) -> np.ndarray:
    """Boxes of each image and class, (N, C)."""
    counts = np.zeros(shape, int)
    rows = [places[a['image_id']] for a in annotations]
    np.add.at(counts, (rows, [labels[a['category_id']] for a in annotations]), 1)
    return counts


def estimate_missing(
    coco: Mapping[str, Any],
    learned: Mapping[str, Any],
    predictions: Mapping[int, Detections],
    min_hidden: int = MIN_HIDDEN,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[MissingCellsEstimate]:
    """Estimate the share of the cells that have no box, and how far images drawn anew move it.

    The interval is that of a bootstrap over images: the images are drawn with replacement, and all
    is estimated from those drawn. It holds what other images of this kind would have changed, not
    what another detector would, nor that boxes may be missing otherwise than at random. The share
    comes out too high where the detector's best finds are no cells.

    Args:
        coco: All boxes that there are, in COCO form.
        learned: Those that the detector learned, of ``ldwsccd hide``.
        predictions: Its detections in these images, with low scores too.
        min_hidden: Hidden boxes met below which a class is judged with all classes together.
        replicates: How often images are drawn.
        seed: Of the draws.

    Returns:
        Each class, in the order of the categories, and all of them.

    Raises:
        DatasetError: No box was hidden, or the files are not of one set.
    """
    _check_learned(coco, learned)
    hidden = hidden_boxes(coco, learned, predictions)
    sample = _Sample(coco, hidden, unlearned_finds(coco, learned, hidden, predictions), min_hidden)
    count = len(coco['images'])
    shares = sample.missing(np.ones(count, int))
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(count, np.full(count, 1 / count)) for _ in range(replicates)]
    low, high = np.percentile([sample.missing(times) for times in drawn], INTERVAL, axis=0)
    names = [*(category['name'] for category in coco['categories']), 'all classes']
    return [
        MissingCellsEstimate(
            str(name), *counts, *(float(values[index]) for values in (shares, low, high))
        )
        for index, (name, counts) in enumerate(zip(names, sample.counts(), strict=True))
    ]


def _check_learned(coco: Mapping[str, Any], learned: Mapping[str, Any]) -> None:
    """Raise if the detector learned boxes that the set has not."""
    known = {annotation['id'] for annotation in coco['annotations']}
    strange = sum(annotation['id'] not in known for annotation in learned['annotations'])
    if strange:
        raise DatasetError(
            f'{strange} of the {len(learned["annotations"])} boxes that the detector learned are '
            'not in the set: name the set that they were hidden from, or hide and find anew'
        )


def find_mining(folder: Path) -> tuple[Path, Path]:
    """Where a run of ``ldwsccd find-missing`` keeps the finds of its first teacher, and its boxes.

    Raises:
        DatasetError: It is no such folder, or the run has not come so far.
    """
    predictions, learned = folder / 'finds' / 'predictions.pkl', folder / 'hidden' / 'learned.json'
    absent = [str(path) for path in (predictions, learned) if not path.is_file()]
    if absent:
        raise DatasetError(
            f"'{folder}' holds no finished run of ldwsccd find-missing ({', '.join(absent)} is not "
            'there): name the folder that it printed, or let it end'
        )
    return predictions, learned


def read_missing(
    annotations: str | Path, predictions: Path, learned: Path
) -> list[MissingCellsEstimate]:
    """Estimate from files, see :func:`estimate_missing`.

    Args:
        annotations: COCO json of the set.
        predictions: What ``ldwsccd test --out`` wrote on it.
        learned: COCO json of the boxes that the detector learned.
    """
    return estimate_missing(
        load_coco(annotations), load_coco(learned), load_predictions(predictions)
    )
