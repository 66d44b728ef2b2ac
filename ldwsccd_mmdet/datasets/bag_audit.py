"""Whether image labels can teach a class at all: bags with it, bags without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    'BagAudit',
    'audit_bags',
    'bag_labels',
    'by_image_labels',
    'teaches_by_image_labels',
]

UBIQUITOUS = 0.95
"""Share of the images from which on a class has too few images without it to learn from."""


@dataclass(frozen=True)
class BagAudit:
    """An image is a bag of regions; its labels are the classes that occur in it. C classes.

    Attributes:
        classes: Names.
        num_images: Bags in all.
        bags: Images with each class, ``(C,)``.
        cells: Boxes of each class, ``(C,)``; 0 where images have image labels alone.
        boxed_bags: Images with a box of each class, ``(C,)``.
        labels_per_image: Mean number of classes in an image.
        cells_per_image: Mean number of boxes of the images that have any; NaN if none has.
        empty: Images with no class: negative bags of every class.
        image_only: Images with image labels alone.
        ubiquitous: Share of the images above which a class counts as everywhere.
    """

    classes: tuple[str, ...]
    num_images: int
    bags: np.ndarray
    cells: np.ndarray
    boxed_bags: np.ndarray
    labels_per_image: float
    cells_per_image: float
    empty: int
    image_only: int
    ubiquitous: float

    @property
    def share(self) -> np.ndarray:
        """Share of the images that have each class, ``(C,)``."""
        return self.bags / max(self.num_images, 1)

    @property
    def cells_per_bag(self) -> np.ndarray:
        """Mean number of boxes in the images with a box of the class, ``(C,)``; NaN if none."""
        return self.cells / np.where(self.boxed_bags > 0, self.boxed_bags, np.nan)

    @property
    def everywhere(self) -> list[str]:
        """Classes in more than ``ubiquitous`` of the images."""
        return [self.classes[i] for i in np.flatnonzero(self.share > self.ubiquitous)]

    @property
    def nowhere(self) -> list[str]:
        """Classes in no image."""
        return [self.classes[i] for i in np.flatnonzero(self.bags == 0)]

    @property
    def problems(self) -> list[str]:
        """What keeps image labels from teaching, each with its remedy; empty if nothing does."""
        found = []
        if self.everywhere:
            listed = ', '.join(
                f'{name} ({self.bags[self.classes.index(name)]} of {self.num_images})'
                for name in self.everywhere
            )
            boxes = (
                'give them boxes (supervision "box")'
                if self.image_only
                else 'rely on their boxes, which still teach the student'
            )
            found.append(
                f'classes in more than {self.ubiquitous:.0%} of the images: {listed}. There are no '
                'images without them to tell their cells from other regions, so MIL cannot learn '
                'them from image labels: add images without them, cut the images into smaller '
                f'fields, leave them out of metainfo.classes, or {boxes}'
            )
        if self.nowhere:
            found.append(
                f'classes in no image: {", ".join(self.nowhere)}. Nothing can learn them: leave '
                'them out of metainfo.classes, or mend the annotation file'
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """All of it in plain numbers, for JSON; None where there is nothing to measure."""
        per_bag = self.cells_per_bag
        return {
            'num_images': self.num_images,
            'images_without_a_class': self.empty,
            'images_with_image_labels_alone': self.image_only,
            'labels_per_image': round(self.labels_per_image, 3),
            'cells_per_image': _number(self.cells_per_image),
            'classes': {
                name: {
                    'bags': int(self.bags[i]),
                    'share': round(float(self.share[i]), 4),
                    'cells': int(self.cells[i]),
                    'cells_per_bag': _number(per_bag[i]),
                }
                for i, name in enumerate(self.classes)
            },
            'everywhere': self.everywhere,
            'nowhere': self.nowhere,
            'problems': self.problems,
        }


def teaches_by_image_labels(record: Mapping[str, Any]) -> bool:
    """Whether an image of a mixed set teaches by its image labels alone: the one rule.

    The image's own ``supervision`` says so, where it has one. Otherwise those images do that have
    image labels and no box to learn from; a crowd is none. A data set decides it before any
    augmentation and writes it into the sample as ``supervision``.

    Args:
        record: One ``data_info`` of an mmdet data set, or the meta information of a sample with
            its ``instances``.
    """
    supervision = record.get('supervision')
    if supervision is not None:
        return supervision == 'image'
    boxes = any(not box.get('ignore_flag', 0) for box in record.get('instances') or ())
    return bool(record.get('image_labels')) and not boxes


def by_image_labels(record: Mapping[str, Any], regime: str = 'mixed') -> bool:
    """Whether an image teaches by its image labels alone, as ``model.supervision`` decides it.

    Args:
        record: One ``data_info`` of an mmdet data set.
        regime: ``'box'``, ``'image'`` or ``'mixed'``.
    """
    return teaches_by_image_labels(record) if regime == 'mixed' else regime == 'image'


def bag_labels(record: Mapping[str, Any], num_classes: int, regime: str = 'mixed') -> np.ndarray:
    """Classes that an image is known to have, boolean (C,).

    Args:
        record: One ``data_info`` of an mmdet data set: its ``instances``, and perhaps
            ``image_labels`` and ``supervision``.
        num_classes: C.
        regime: As ``model.supervision``. ``'box'``: the classes of the boxes; ``'image'``: the
            image labels; ``'mixed'``: both, or, of an image that teaches by them alone, the image
            labels.
    """
    labels = np.isin(np.arange(num_classes), record.get('image_labels') or ())
    if by_image_labels(record, regime):
        return labels
    boxed = _num_cells(record, num_classes) > 0
    return boxed if regime == 'box' else boxed | labels


def _num_cells(record: Mapping[str, Any], num_classes: int) -> np.ndarray:
    """Boxes of each class (C,), crowds left out."""
    labels = [
        box['bbox_label'] for box in record.get('instances', ()) if not box.get('ignore_flag', 0)
    ]
    return np.bincount(np.array(labels, int), minlength=num_classes)


def audit_bags(
    records: Iterable[Mapping[str, Any]],
    classes: Sequence[str],
    ubiquitous: float = UBIQUITOUS,
    regime: str = 'mixed',
) -> BagAudit:
    """Count the bags of a data set.

    Args:
        records: One ``data_info`` of an mmdet data set an image.
        classes: Names of the classes.
        ubiquitous: Share of the images above which a class counts as everywhere, in (0, 1].
        regime: What teaches, see :func:`bag_labels`.
    """
    bag_rows, cell_rows, image_only = [], [], 0
    for record in records:
        bag_rows.append(bag_labels(record, len(classes), regime))
        bare = by_image_labels(record, regime)
        image_only += bare
        cell_rows.append(_num_cells({} if bare else record, len(classes)))
    bags = np.array(bag_rows, bool).reshape(-1, len(classes))
    boxes = np.array(cell_rows, int).reshape(-1, len(classes))
    per_image = boxes.sum(axis=1)
    return BagAudit(
        classes=tuple(classes),
        num_images=len(bags),
        bags=bags.sum(axis=0),
        cells=boxes.sum(axis=0),
        boxed_bags=(boxes > 0).sum(axis=0),
        labels_per_image=float(bags.sum() / max(len(bags), 1)),
        cells_per_image=float(per_image[per_image > 0].mean()) if per_image.any() else np.nan,
        empty=int((~bags.any(axis=1)).sum()),
        image_only=image_only,
        ubiquitous=ubiquitous,
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 2)
