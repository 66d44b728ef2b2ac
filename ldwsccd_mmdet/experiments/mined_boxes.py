"""How good mined boxes are, where it is known which boxes were taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..preparation.missing_boxes import FOUND_IOU, box_ious

__all__ = ['MINED_COLUMNS', 'judge_mined_boxes']

#: Of each class: the estimated share of cells that have a box; boxes taken away; finds, and cells
#: expected among them; finds of probability 0.5 or more, and what share of these meets a box that
#: was taken away, and of those boxes is met; of all finds, what share overlaps a cell of the class
#: that has no box at all, and what share by half.
MINED_COLUMNS = (
    'class',
    'kept_share',
    'taken_away',
    'finds',
    'expected',
    'sure',
    'precision',
    'recall',
    'touching',
    'framed',
)
SURE = 0.5


def judge_mined_boxes(
    complete: Mapping[str, Any], kept: Mapping[str, Any], mined: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Compare mined boxes with those that were taken away; nothing is trained or chosen by it.

    A find meets a box that was taken away at an IoU of 0.5 or more, each box once, the surest find
    first. The complete set may lack boxes itself, so that a find which meets none may still be a
    cell: the precision is a lower bound.

    Args:
        complete: All boxes, in COCO form.
        kept: Those that were left, by the ids that they have in ``complete``.
        mined: What was mined with them (:func:`mine_missing_boxes`).

    Returns:
        A row of ``MINED_COLUMNS`` for each class.
    """
    left = {annotation['id'] for annotation in kept['annotations']}
    away = [a for a in complete['annotations'] if a['id'] not in left]
    rows = []
    for category, estimate in zip(mined['categories'], mined['info']['mined'], strict=True):
        truths, finds = (
            [a for a in annotations if a['category_id'] == category['id']]
            for annotations in (away, mined['annotations'])
        )
        sure = [a for a in finds if a['prob'] >= SURE]
        hits = _hits(sure, truths)
        overlaps = _overlaps(finds, truths)
        rows.append(
            dict(
                zip(
                    MINED_COLUMNS,
                    (
                        category['name'],
                        f'{estimate["kept_share"]:.2f}',
                        len(truths),
                        len(finds),
                        f'{estimate["expected"]:.0f}',
                        len(sure),
                        f'{hits / len(sure):.2f}' if sure else '',
                        f'{hits / len(truths):.2f}' if truths else '',
                        f'{np.mean(overlaps > 0):.2f}' if finds else '',
                        f'{np.mean(overlaps >= FOUND_IOU):.2f}' if finds else '',
                    ),
                    strict=True,
                )
            )
        )
    return rows


def _hits(finds: list[dict[str, Any]], truths: list[dict[str, Any]]) -> int:
    """How many truths are met by a find."""
    hits = 0
    for iou in _ious_by_image(finds, truths):
        for row in iou:
            best = int(row.argmax())
            if row[best] >= FOUND_IOU:
                hits += 1
                iou[:, best] = 0
    return hits


def _overlaps(finds: list[dict[str, Any]], truths: list[dict[str, Any]]) -> np.ndarray:
    """IoU of each find, in any order, with the truth that it overlaps most, (n,)."""
    best = [iou.max(axis=1) for iou in _ious_by_image(finds, truths)]
    alone = np.zeros(len(finds) - sum(map(len, best)))
    return np.concatenate([*best, alone])


def _ious_by_image(
    finds: list[dict[str, Any]], truths: list[dict[str, Any]]
) -> Iterator[np.ndarray]:
    """Yield the IoU (n, m) of an image's finds, the surest first, with its truths, if any."""
    by_image: dict[Any, tuple[list, list]] = {}
    for place, records in enumerate((finds, truths)):
        for record in records:
            by_image.setdefault(record['image_id'], ([], []))[place].append(record)
    for found, true in by_image.values():
        if found and true:
            found = sorted(found, key=lambda find: -find['prob'])
            yield box_ious(_corners(found), _corners(true))


def _corners(records: list[dict[str, Any]]) -> np.ndarray:
    boxes = np.array([record['bbox'] for record in records], float)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
