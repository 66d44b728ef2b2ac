"""Weaker labels of a set with boxes: image labels alone, missing boxes, wrong classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DatasetError
from .synthetic.label_faults import LabelFaults

__all__ = ['label_images', 'weaken']


def label_images(coco: Mapping[str, Any], source: str = 'boxes') -> dict[str, Any]:
    """Give each image ``image_labels``, the names of the classes in it, in the categories' order.

    Args:
        coco: Annotations in COCO form; not changed.
        source: ``'boxes'``: the classes of the image's boxes. ``'record'``: the ``image_labels`` or
            ``image_label`` that its record has.

    Raises:
        DatasetError: A record has no label, or one that is not the name of a category.
    """
    order = {category['name']: i for i, category in enumerate(coco['categories'])}
    names: dict[Any, set[str]] = {record['id']: set() for record in coco['images']}
    if source == 'boxes':
        name_of = {category['id']: category['name'] for category in coco['categories']}
        for annotation in coco['annotations']:
            image_id, category_id = annotation['image_id'], annotation['category_id']
            if image_id in names and category_id in name_of:
                names[image_id].add(name_of[category_id])
    else:
        for record in coco['images']:
            names[record['id']] = _own_labels(record, order)
    images = [
        {**record, 'image_labels': sorted(names[record['id']], key=order.__getitem__)}
        for record in coco['images']
    ]
    return {**coco, 'images': images}


def _own_labels(record: Mapping[str, Any], known: Mapping[str, int]) -> set[str]:
    """Names of the classes that an image's record gives."""
    labels = record.get('image_labels', record.get('image_label'))
    if labels is None:
        raise DatasetError(
            f"image '{record['file_name']}' has neither image_labels nor image_label: add one, or "
            'take the classes of the boxes (--labels boxes)'
        )
    labels = {labels} if isinstance(labels, str) else set(labels)
    if unknown := sorted(labels - set(known)):
        raise DatasetError(
            f"image '{record['file_name']}' has the label {', '.join(unknown)}, which is no "
            f'category of the file ({", ".join(known)}): mend the one or the other'
        )
    return labels


def weaken(
    coco: Mapping[str, Any],
    image_labels_only: float = 0.0,
    drop: float = 0.0,
    wrong_class: float = 0.0,
    labels: str = 'boxes',
    seed: int = 0,
) -> dict[str, Any]:
    """Weaken the labels of a set, the same for the same seed.

    First the images get their ``image_labels``, from what is known before anything is taken away.
    Then, in this order, boxes get wrong classes, boxes are left out, and images lose all boxes.
    Each record gets ``supervision``: ``'image'`` where the boxes are gone by design, ``'box'``
    elsewhere. ``info['weakened']`` keeps the settings and the counts.

    Args:
        coco: Annotations in COCO form; not changed.
        image_labels_only: Fraction of the images that keep image labels alone, 0 to 1.
        drop: Fraction of all boxes that are left out, 0 to 1.
        wrong_class: Fraction of all boxes with a wrong class, 0 to 1.
        labels: Where ``image_labels`` come from, see :func:`label_images`.
        seed: Which images and boxes.

    Raises:
        ConfigError: A fraction is outside its range.
        DatasetError: The set is weakened already, or see :func:`label_images`.
    """
    bare = sum(record.get('supervision') == 'image' for record in coco['images'])
    if bare:
        raise DatasetError(
            f'{bare} images have image labels alone already (supervision is "image"): their boxes '
            'are not known any more; start from the set with all boxes'
        )
    faults = LabelFaults(missing=drop, wrong_class=wrong_class, image_labels_only=image_labels_only)
    weak = faults.apply(label_images(coco, labels), seed)
    settings = {
        'image_labels_only': image_labels_only,
        'drop': drop,
        'wrong_class': wrong_class,
        'labels': labels,
        'seed': seed,
        'counts': _counts(coco, weak, bool(wrong_class)),
    }
    info = coco.get('info') or {}
    return {**weak, 'info': {**info, 'weakened': settings}}


def _counts(coco: Mapping[str, Any], weak: Mapping[str, Any], has_wrong: bool) -> dict[str, int]:
    """What is in the weakened set, and what was in the one that it was made from."""
    return {
        'images': len(weak['images']),
        'images_with_image_labels_alone': sum(
            record['supervision'] == 'image' for record in weak['images']
        ),
        'images_without_a_class': sum(not record['image_labels'] for record in weak['images']),
        'boxes_before': len(coco['annotations']),
        'boxes': len(weak['annotations']),
        'boxes_of_a_wrong_class': (
            sum('true_category_id' in a for a in weak['annotations']) if has_wrong else 0
        ),
    }
