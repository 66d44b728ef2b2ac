# SPDX-License-Identifier: Apache-2.0
"""Faults that real labels of cervical cells have, put on purpose into a COCO dict.

Each function is pure: it takes a COCO dict and returns a new one, the same for the same seed.
``images[].image_labels`` (names of the classes that truly occur) is never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...errors import ConfigError

CocoDict = dict[str, Any]


def _check_fraction(name: str, value: float) -> None:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise ConfigError(f'{name}: expected a fraction from 0 to 1, found {value!r}')


def _chosen(count: int, fraction: float, seed: int, salt: int) -> np.ndarray:
    """Mask over ``count`` items of which exactly round(fraction * count) are chosen."""
    chosen = np.zeros(count, bool)
    rng = np.random.default_rng([seed, salt])
    chosen[rng.permutation(count)[: round(fraction * count)]] = True
    return chosen


def drop_boxes(coco: Mapping[str, Any], fraction: float, seed: int = 0) -> CocoDict:
    """Leaves out a fraction of all boxes: cells that nobody annotated."""
    _check_fraction('fraction', fraction)
    gone = _chosen(len(coco['annotations']), fraction, seed, 1)
    kept = [a for a, out in zip(coco['annotations'], gone, strict=True) if not out]
    return {**coco, 'annotations': kept}


def swap_classes(coco: Mapping[str, Any], fraction: float, seed: int = 0) -> CocoDict:
    """Gives a fraction of all boxes another class, each other class being equally likely.

    A changed annotation keeps its class as ``true_category_id``.
    """
    _check_fraction('fraction', fraction)
    ids = [category['id'] for category in coco['categories']]
    if fraction > 0 and len(ids) < 2:
        raise ConfigError(
            'swap_classes: expected at least 2 categories, found 1; a single class '
            'cannot be mistaken for another'
        )
    wrong = _chosen(len(coco['annotations']), fraction, seed, 2)
    shift = np.random.default_rng([seed, 3]).integers(1, max(2, len(ids)), len(wrong)).tolist()
    position = {category_id: index for index, category_id in enumerate(ids)}
    annotations = []
    for annotation, swap, step in zip(coco['annotations'], wrong, shift, strict=True):
        if swap:
            true = annotation['category_id']
            annotation = {
                **annotation,
                'category_id': ids[(position[true] + step) % len(ids)],
                'true_category_id': true,
            }
        annotations.append(annotation)
    return {**coco, 'annotations': annotations}


def merge_clumps(
    coco: Mapping[str, Any], fraction: float = 1.0, seed: int = 0, gap: float = 0.0
) -> CocoDict:
    """Replaces clumps of cells by one box around each clump.

    A clump is a set of two or more boxes of one image, linked by overlap or by a distance of at
    most ``gap`` pixels along both axes. Its box gets the class that covers the largest area in it,
    and lists the annotations it took in as ``merged_ids``.

    Args:
        coco: Annotations in COCO form.
        fraction: Share of all clumps that are merged, 0 to 1.
        seed: Which clumps are merged.
        gap: Largest distance between neighbours, pixels.
    """
    _check_fraction('fraction', fraction)
    if gap < 0:
        raise ConfigError(f'gap: expected a distance of at least 0 pixels, found {gap!r}')
    annotations = coco['annotations']
    if not annotations:
        return {**coco, 'annotations': []}
    boxes = np.array([a['bbox'] for a in annotations], np.float64)
    category = np.array([a['category_id'] for a in annotations])
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    clump = _clumps(low, high, np.array([a['image_id'] for a in annotations]), gap)

    sizes = np.bincount(clump)
    candidates = np.flatnonzero(sizes > 1)
    merged = set(candidates[_chosen(len(candidates), fraction, seed, 4)].tolist())
    result, done = [], set()
    area = boxes[:, 2] * boxes[:, 3]
    for index, annotation in enumerate(annotations):
        which = int(clump[index])
        if which not in merged:
            result.append(annotation)
        elif which not in done:
            done.add(which)
            members = np.flatnonzero(clump == which)
            present, inverse = np.unique(category[members], return_inverse=True)
            winner = present[np.argmax(np.bincount(inverse, area[members]))]
            x, y = low[members].min(0).tolist()
            w, h = (high[members].max(0) - low[members].min(0)).tolist()
            result.append(
                {
                    **annotation,
                    'bbox': [x, y, w, h],
                    'area': w * h,
                    'category_id': int(winner),
                    'merged_ids': [annotations[m]['id'] for m in members],
                }
            )
    return {**coco, 'annotations': result}


def _clumps(low: np.ndarray, high: np.ndarray, image: np.ndarray, gap: float) -> np.ndarray:
    """Number of the clump that each box is in, (n,), from its corners (n, 2) and its image."""
    order = np.argsort(image, kind='stable')
    starts = np.flatnonzero(np.r_[True, np.diff(image[order]) != 0])
    links_a, links_b = [], []
    for members in np.split(order, starts[1:]):
        distance = np.maximum(low[members][:, None], low[members][None]) - np.minimum(
            high[members][:, None], high[members][None]
        )
        a, b = np.nonzero((distance <= gap).all(2))
        links_a.append(members[a])
        links_b.append(members[b])
    a, b = np.concatenate(links_a), np.concatenate(links_b)
    count = len(image)
    _, clump = connected_components(coo_matrix((np.ones(len(a)), (a, b)), (count, count)), False)
    return clump


def image_labels_only(coco: Mapping[str, Any], fraction: float = 1.0, seed: int = 0) -> CocoDict:
    """Takes all boxes away from a fraction of the images; only ``image_labels`` stay.

    Such images carry ``supervision='image'``, the others ``supervision='box'``.
    """
    _check_fraction('fraction', fraction)
    bare = _chosen(len(coco['images']), fraction, seed, 5)
    images = [
        {**record, 'supervision': 'image' if out else 'box'}
        for record, out in zip(coco['images'], bare, strict=True)
    ]
    hidden = {record['id'] for record, out in zip(coco['images'], bare, strict=True) if out}
    return {
        **coco,
        'images': images,
        'annotations': [a for a in coco['annotations'] if a['image_id'] not in hidden],
    }


@dataclass(frozen=True)
class LabelFaults:
    """Which faults the training labels get; 0 everywhere is the truth.

    Applied in this order: wrong classes, missing boxes, clumps, image labels only.

    Attributes:
        missing: Fraction of boxes left out, 0 to 1.
        wrong_class: Fraction of boxes with a wrong class, 0 to 1.
        clumps: Fraction of clumps with one box around them, 0 to 1.
        image_labels_only: Fraction of images with image labels alone, 0 to 1.
    """

    missing: float = 0.0
    wrong_class: float = 0.0
    clumps: float = 0.0
    image_labels_only: float = 0.0

    def __post_init__(self) -> None:
        for name in ('missing', 'wrong_class', 'clumps', 'image_labels_only'):
            _check_fraction(f'faults.{name}', getattr(self, name))

    def apply(self, coco: Mapping[str, Any], seed: int = 0) -> CocoDict:
        """Returns the annotations with these faults."""
        faulty: CocoDict = dict(coco)
        if self.wrong_class:
            faulty = swap_classes(faulty, self.wrong_class, seed)
        if self.missing:
            faulty = drop_boxes(faulty, self.missing, seed)
        if self.clumps:
            faulty = merge_clumps(faulty, self.clumps, seed)
        return image_labels_only(faulty, self.image_labels_only, seed)
