r"""Cells without a box: how many there are, where, and how sure that is, from the labels at hand.

Where a share :math:`q` of the cells has boxes, a detector that learned from them finds the others
too, with lower scores, for it was taught that they are background. How sure such a find is cannot
be read off the images it learned from by comparing with boxes it learned by heart. So some boxes
are hidden from it first (the spies of Liu et al., ICML 2002): to the detector they are what the
cells without a box are, and their scores tell how such cells score.

Of the finds that no box it learned accounts for, let :math:`h(s)` be the share at score :math:`s`
that meets a hidden box of any class, and :math:`g(s)` the share that meets one of the class that
was found. Boxes are missing, and hidden, at random, so a cell it has not learned is a hidden one
with a probability :math:`e` that depends neither on its score nor on what it was taken for (Elkan
and Noto, KDD 2008):

.. math::
    h(s) = P(\text{hidden} | s) = e \, P(\text{any cell} | s), \qquad
    g(s) = e \, P(\text{cell of the class} | s), \qquad e = \frac{r q}{r q + 1 - q}

with :math:`r` the share of the boxes that was hidden. At the highest scores all finds are cells, be
it of another class, so :math:`e` is the top of :math:`h`. A find that meets no hidden box is a cell
of its class with

.. math::
    P(\text{cell} | s, \text{not hidden}) = \frac{(1 - e) \, P}{1 - h(s)}, \qquad
    P = \frac{g(s)}{e}

No hidden truth is looked at. If all cells have boxes, e is 1 and nothing is mined.

Each class has its own g and h, however few hidden boxes its finds met: a detector scores a rare
class lower than a common one, and the g of all classes would call its finds unlikely. Of e less is
known, for it takes the best finds alone: a class whose finds met few hidden boxes has the e of all
classes, which it shares where boxes are missing whatever the class.

The finds may teach a second detector, which finds more. It must not know which of them are hidden
boxes, else these would no longer be to it what the cells without a box are: it is taught all of
them, each with :math:`P(cell | s)` (``blind``). Now e is that of the first round, for e does not
depend on the detector, and what the second one was taught wrongly it scores high: the top of its g
is no longer all cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from ..errors import ConfigError, DatasetError
from ..evaluation.predictions import Detections
from .synthetic.label_faults import drop_boxes

__all__ = [
    'CellPosterior',
    'MinedClass',
    'Rate',
    'fit_posterior',
    'hide_boxes',
    'mine_missing_boxes',
]

MIN_HIDDEN = 10
"""Hidden boxes, of any class, that a class's finds must meet before it has its own :math:`e`."""
FOUND_IOU = 0.5
"""Overlap from which on a find meets a box, as AP50 counts."""
NEAR_IOU = 0.3
"""Overlap with a box of its class from which on a find is no new cell."""
REPEAT_IOU = 0.4
"""Overlap with a better find of its class from which on a find is the same cell again."""
MAX_PROB = 0.95
"""No find is surer than this: a box that someone drew is more than one that was mined."""


@dataclass(frozen=True)
class Rate:
    """A share that does not fall with the score.

    Attributes:
        scores: Knots, ascending, (K,); none for a share of 0.
        rates: The share at the knots, (K,), in [0, 1].
    """

    scores: np.ndarray
    rates: np.ndarray

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """The share at these scores, (n,)."""
        if not len(self.scores):
            return np.zeros(len(scores))
        return np.interp(scores, self.scores, self.rates)


@dataclass(frozen=True)
class CellPosterior:
    """How sure a find of a score is, for one class.

    Attributes:
        own: :math:`g`, at most :math:`e`.
        any: :math:`h`, at most :math:`e`.
        hidden_share: :math:`e`, in (0, 1].
    """

    own: Rate
    any: Rate
    hidden_share: float

    def cell(self, scores: np.ndarray) -> np.ndarray:
        """:math:`P(cell | s)` of any find that was not learned, (n,)."""
        return np.minimum(self.own(scores) / self.hidden_share, 1.0)

    def unhidden_cell(self, scores: np.ndarray) -> np.ndarray:
        """:math:`P(cell | s, not hidden)` of a find that meets no hidden box, (n,)."""
        own = self.own(scores)
        met = np.maximum(self.any(scores), own)  # two fits
        others = (1 - self.hidden_share) * own / self.hidden_share
        return np.minimum(others / np.maximum(1 - met, 1e-9), 1.0)

    def kept_share(self, fraction: float) -> float:
        """The share q of cells that have boxes, where a fraction r of these was hidden."""
        return kept_share(self.hidden_share, fraction)


def kept_share(hidden_share: float, fraction: float) -> float:
    """The share q of cells that have boxes, from e and the fraction r of boxes that was hidden."""
    return hidden_share / (fraction + hidden_share * (1 - fraction))


@dataclass(frozen=True)
class MinedClass:
    """What was mined of a class.

    Attributes:
        name: Of the class.
        boxes: Boxes that it has.
        hidden: How many of them were hidden from the detector.
        found: Hidden boxes of the class that were found all the same.
        pooled: Whether it has the :math:`e` of all classes, its finds having met too few.
        hidden_share: :math:`e`.
        kept_share: Estimated share q of its cells that have a box.
        mined: Finds that may be cells.
        expected: Cells among them, the sum of their probabilities.
    """

    name: str
    boxes: int
    hidden: int
    found: int
    pooled: bool
    hidden_share: float
    kept_share: float
    mined: int
    expected: float


def hide_boxes(coco: Mapping[str, Any], fraction: float = 0.2, seed: int = 0) -> dict[str, Any]:
    """Leave out a fraction of the boxes of each class, for the detector that is to find them.

    Args:
        coco: Annotations in COCO form; not changed.
        fraction: Share r of the boxes, in (0, 1).
        seed: Which.

    Raises:
        ConfigError: If the fraction is outside its range.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f'hide_boxes: expected a fraction between 0 and 1, found {fraction!r}')
    by_class: dict[Any, list] = defaultdict(list)
    for annotation in coco['annotations']:
        by_class[annotation['category_id']].append(annotation)
    kept: set[Any] = set()
    for category, of_class in by_class.items():
        left = drop_boxes({'annotations': of_class}, fraction, seed + 7919 * int(category))
        kept |= {annotation['id'] for annotation in left['annotations']}
    return {**coco, 'annotations': [a for a in coco['annotations'] if a['id'] in kept]}


def fit_posterior(
    scores: np.ndarray,
    hit: np.ndarray,
    met: np.ndarray | None = None,
    min_hidden: int = MIN_HIDDEN,
    hidden_share: float | None = None,
) -> CellPosterior:
    """Fit g and h by isotonic regression, and e by the top of h.

    The top are the best finds, down to the one that makes half of all that met a hidden box, but at
    least ``min_hidden`` of these. With K of them among n finds, the last of them one, their share
    is (K - 1) / (n - 1) without bias; the highest share of any stretch would be the luckiest one.

    Args:
        scores: Of finds that no learned box accounts for, (n,).
        hit: Whether each meets a hidden box of its class, (n,).
        met: Whether it meets one of any class, (n,); None where there is but one class.
        min_hidden: See above, >= 1.
        hidden_share: :math:`e`, in (0, 1], where it is known; None takes the top of h.
    """
    order = np.argsort(scores, kind='stable')
    scores, hit = np.asarray(scores, float)[order], np.asarray(hit, float)[order]
    met = hit if met is None else np.asarray(met, float)[order]
    if not met.any():
        nothing = Rate(np.zeros(0), np.zeros(0))
        return CellPosterior(nothing, nothing, hidden_share or 1.0)
    top = top_hit_rate(met, min_hidden) if hidden_share is None else hidden_share
    return CellPosterior(_rate(scores, hit, top), _rate(scores, met, top), top)


def _rate(scores: np.ndarray, hit: np.ndarray, top: float) -> Rate:
    """The share of hits by score, ascending, at most ``top``."""
    if not hit.any():
        return Rate(np.zeros(0), np.zeros(0))
    rates = isotonic_regression(hit).x
    # both ends of a block of equal rates are knots: between their middles, finds below the last hit
    # would be lifted, and with few hits these are most
    step = np.diff(rates) > 1e-12
    knots = np.flatnonzero(np.r_[True, step] | np.r_[step, True])
    return Rate(scores[knots], np.minimum(rates[knots], top))


def top_hit_rate(hit: np.ndarray, min_hidden: int) -> float:
    """The top of h (:func:`fit_posterior`), of finds by ascending score, one of them a hit."""
    hits = np.flatnonzero(hit[::-1])
    enough = min(max(min_hidden, len(hits) // 2), len(hits))
    last = hits[enough - 1]
    return float((enough - 1) / last) if enough > 1 else 1.0 / float(last + 1)


def mine_missing_boxes(
    coco: Mapping[str, Any],
    learned: Mapping[str, Any],
    predictions: Mapping[int, Detections],
    min_prob: float = 0.05,
    min_hidden: int = MIN_HIDDEN,
    blind: bool = False,
    hidden_shares: Mapping[str, float] | None = None,
) -> tuple[dict[str, Any], list[MinedClass]]:
    """Find the cells that have no box, and how sure each is.

    Args:
        coco: All boxes that there are, in COCO form; not changed.
        learned: Those that the detector learned: what :func:`hide_boxes` left of them.
        predictions: Its detections in these images, with low scores too.
        min_prob: Finds less sure than this are left out, in (0, 1).
        min_hidden: Hidden boxes met below which a class has the :math:`e` of all classes.
        blind: Whether hidden boxes that were found are finds like the others: to teach a second
            detector, which must not know them.
        hidden_shares: :math:`e` by class, of the first round; None estimates it.

    Returns:
        The finds in COCO form, with ``prob`` for each, to be named as ``mined_file`` of
        :class:`CervicalCellDataset`; and what was mined of each class.

    Raises:
        DatasetError: If ``learned`` hides no box of ``coco``, or the images differ.
    """
    hidden = hidden_boxes(coco, learned, predictions)
    finds = unlearned_finds(coco, learned, hidden, predictions)
    counted = ~finds['near']
    met = finds['hit'] | finds['other']
    pool = fit_posterior(finds['score'][counted], finds['hit'][counted], met[counted], min_hidden)
    fraction = len(hidden) / len(coco['annotations'])
    annotations: list[dict[str, Any]] = []
    report = []
    for label, category in enumerate(coco['categories']):
        own = finds['label'] == label
        found = int(finds['hit'][own].sum())
        pooled = int(met[own].sum()) < min_hidden
        share = pool.hidden_share if pooled else None
        if hidden_shares is not None:
            share = hidden_shares[category['name']]
        use = own & counted
        posterior = fit_posterior(
            finds['score'][use], finds['hit'][use], met[use], min_hidden, share
        )
        rows = np.flatnonzero(own if blind else own & counted & ~met)
        cell = posterior.cell if blind else posterior.unhidden_cell
        probs = np.minimum(cell(finds['score'][rows]), MAX_PROB)
        rows, probs = rows[probs >= min_prob], probs[probs >= min_prob]
        annotations += _records(finds, rows, probs, category['id'], len(annotations) + 1)
        report.append(
            MinedClass(
                category['name'],
                sum(a['category_id'] == category['id'] for a in coco['annotations']),
                sum(a['category_id'] == category['id'] for a in hidden),
                found,
                pooled,
                posterior.hidden_share,
                posterior.kept_share(fraction),
                len(rows),
                float(probs.sum()),
            )
        )
    info = {**(coco.get('info') or {}), 'mined': [asdict(row) for row in report]}
    return {**coco, 'annotations': annotations, 'info': info}, report


def hidden_boxes(
    coco: Mapping[str, Any], learned: Mapping[str, Any], predictions: Mapping[int, Detections]
) -> list[dict[str, Any]]:
    """The boxes that the detector did not learn; some, not all, and it was tested on all images."""
    known = {annotation['id'] for annotation in learned['annotations']}
    hidden = [a for a in coco['annotations'] if a['id'] not in known]
    if not hidden or len(hidden) == len(coco['annotations']):
        raise DatasetError(
            f'mine_missing_boxes: {len(hidden)} of {len(coco["annotations"])} boxes were hidden '
            'from the detector: hide some of them, and not all (hide_boxes), and train it on the '
            'others'
        )
    absent = [i['file_name'] for i in coco['images'] if i['id'] not in predictions]
    if absent:
        raise DatasetError(
            f'mine_missing_boxes: {len(absent)} images have no predictions, first {absent[0]}: '
            'test the detector on the set that it learned from'
        )
    return hidden


def _records(
    finds: Mapping[str, np.ndarray], rows: np.ndarray, probs: np.ndarray, category: Any, first: int
) -> list[dict[str, Any]]:
    """Finds as annotations of a COCO file, numbered from ``first`` on."""
    records = []
    for number, (row, prob) in enumerate(zip(rows, probs, strict=True), start=first):
        x1, y1, x2, y2 = finds['bbox'][row].tolist()
        records.append(
            {
                'id': number,
                'image_id': int(finds['image'][row]),
                'category_id': category,
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'area': (x2 - x1) * (y2 - y1),
                'iscrowd': 0,
                'score': float(finds['score'][row]),
                'prob': float(prob),
            }
        )
    return records


def unlearned_finds(
    coco: Mapping[str, Any],
    learned: Mapping[str, Any],
    hidden: list[dict[str, Any]],
    predictions: Mapping[int, Detections],
) -> dict[str, np.ndarray]:
    """Detections that no learned box accounts for.

    Returns:
        ``image``, ``label``, ``score``, ``bbox`` (n, 4), ``hit``: meets a hidden box of its class,
        each of them once, best score first; ``near``: overlaps one without being its hit;
        ``other``: meets one of another class, and is neither.
    """
    learned_boxes, hidden_boxes = _by_image(coco, learned['annotations']), _by_image(coco, hidden)
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    for image in coco['images']:
        found = predictions[image['id']]
        order = np.argsort(-found.scores, kind='stable')
        bbox, label, score = found.bboxes[order], found.labels[order], found.scores[order]
        boxes, labels = learned_boxes[image['id']]
        iou = box_ious(bbox, boxes)
        same = label[:, None] == labels[None]
        accounted = ((iou >= FOUND_IOU) | ((iou >= NEAR_IOU) & same)).any(axis=1)
        accounted |= _repeats(bbox, label, ~accounted)
        bbox, label, score = bbox[~accounted], label[~accounted], score[~accounted]
        boxes, labels = hidden_boxes[image['id']]
        iou = box_ious(bbox, boxes)
        other = (iou >= FOUND_IOU).any(axis=1)
        iou = iou * (label[:, None] == labels[None])
        near = (iou >= NEAR_IOU).any(axis=1)
        hit = np.zeros(len(bbox), bool)
        for row in np.flatnonzero((iou >= FOUND_IOU).any(axis=1)):
            best = int(iou[row].argmax())
            if iou[row, best] >= FOUND_IOU:
                hit[row] = True
                iou[:, best] = 0
        parts['image'].append(np.full(len(bbox), image['id']))
        parts['label'].append(label)
        parts['score'].append(score)
        parts['bbox'].append(bbox)
        parts['hit'].append(hit)
        parts['near'].append(near & ~hit)
        parts['other'].append(other & ~near & ~hit)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _repeats(bbox: np.ndarray, label: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Whether each detection, best first, finds again what a better one found, (n,)."""
    iou = box_ious(bbox, bbox)
    near = (iou >= FOUND_IOU) | ((iou >= REPEAT_IOU) & (label[:, None] == label[None]))
    repeats = ~counted
    for row in np.flatnonzero(counted):
        if not repeats[row]:
            repeats[row + 1 :] |= near[row, row + 1 :]
    return repeats & counted


def _by_image(
    coco: Mapping[str, Any], annotations: list[dict[str, Any]]
) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    """Boxes x1, y1, x2, y2 (n, 4) and labels (n,) of each image."""
    index = {category['id']: i for i, category in enumerate(coco['categories'])}
    rows: dict[Any, list[tuple[list[float], int]]] = {i['id']: [] for i in coco['images']}
    for a in annotations:
        x, y, w, h = a['bbox']
        rows[a['image_id']].append(([x, y, x + w, y + h], index[a['category_id']]))
    return {
        image: (
            np.array([box for box, _ in boxes], float).reshape(-1, 4),
            np.array([label for _, label in boxes], int),
        )
        for image, boxes in rows.items()
    }


def box_ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of each of n boxes (n, 4) with each of m (m, 4), x1, y1, x2, y2: (n, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=2)
    area, area_o = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    return inter / np.maximum(area[:, None] + area_o[None] - inter, 1e-9)
