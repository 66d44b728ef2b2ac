"""Checks of a COCO content: ids, classes, boxes. Pure functions; no image is opened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...datasets.boxes import NO_AREA, box_fault
from ...datasets.coco_json import CocoFile, source_id
from ...datasets.label_counts import LOUD
from .finding import Finding

__all__ = [
    'box_items',
    'check_boxes',
    'check_classes',
    'check_images_and_ids',
    'check_labels',
    'check_overlaps',
    'good_boxes',
]

_FAULT_CHECKS = {
    'without four finite numbers': ('box-not-finite', 'error'),
    'of negative size': ('box-negative', 'error'),
    NO_AREA: ('box-no-area', 'warning'),
    'outside their image': ('box-outside', 'warning'),
}

Coco = Mapping[str, Any]


def box_items(coco: Coco, annotations: list[dict]) -> list[dict[str, Any]]:
    """Describe boxes as items of a finding."""
    files = {image['id']: image['file_name'] for image in coco['images']}
    names = {category['id']: category['name'] for category in coco['categories']}
    return [
        {
            'image': files.get(a['image_id']),
            'annotation': source_id(a),
            'class': names.get(a['category_id']),
            'bbox': a.get('bbox'),
        }
        for a in annotations
    ]


def good_boxes(coco: Coco) -> list[dict]:
    """Return the annotations whose box can be used, of images and classes that are listed."""
    images = {image['id']: image for image in coco['images']}
    categories = {category['id'] for category in coco['categories']}
    return [
        a
        for a in coco['annotations']
        if a['category_id'] in categories
        and (image := images.get(a['image_id'])) is not None
        and box_fault(a['bbox'], image['width'], image['height']) is None
    ]


def check_labels(file: CocoFile) -> list[Finding]:
    """Check that labels are left, and say what reading the file has put right or left out."""
    counts = file.counts()
    findings = []
    problem = counts.problem()
    if problem is not None:
        findings.append(
            Finding('labels-none', 'error', problem, 'nothing can be trained or tested on it')
        )
    elif counts.share_lost > LOUD:
        findings.append(
            Finding(
                'labels-lost',
                'warning',
                f'{counts.share_lost:.0%} of the boxes cannot be used: {counts.warning()}',
                'see the findings of each kind; export the file again',
            )
        )
    if counts.form is not None:
        findings.append(
            Finding('box-form', 'error', f'the boxes look like {counts.form}', 'convert them')
        )
    if file.mended:
        findings.append(
            Finding(
                'file-mended',
                'note',
                'reading puts right: '
                + '; '.join(f'{count} {what}' for what, count in file.mended.most_common()),
                'nothing to do here; other tools may stumble over it',
            )
        )
    return findings


def check_images_and_ids(coco: Coco) -> list[Finding]:
    """Check for files listed twice, boxes of no image or class, images without boxes."""
    return [*_files_twice(coco), *_boxes_of_nothing(coco), *_images_without_boxes(coco)]


def _files_twice(coco: Coco) -> list[Finding]:
    """Check for files that several records name."""
    names = Counter(image['file_name'] for image in coco['images'])
    twice = [name for name, count in names.items() if count > 1]
    if not twice:
        return []
    return [
        Finding(
            'file-twice',
            'error',
            f'{len(twice)} image files are listed more than once',
            'keep one record of each, with the boxes of all',
            [{'image': name} for name in twice],
        )
    ]


def _boxes_of_nothing(coco: Coco) -> list[Finding]:
    """Check for boxes of images and classes that are not listed."""
    findings = []
    images = {image['id'] for image in coco['images']}
    categories = {category['id'] for category in coco['categories']}
    lost = [a for a in coco['annotations'] if a['image_id'] not in images]
    if lost:
        findings.append(
            Finding(
                'box-of-no-image',
                'error',
                f'{len(lost)} boxes have an image_id that no image has',
                'take a whole copy of the file, or delete them',
                box_items(coco, lost),
            )
        )
    unnamed = [a for a in coco['annotations'] if a['category_id'] not in categories]
    if unnamed:
        ids = sorted({str(a['category_id']) for a in unnamed})
        findings.append(
            Finding(
                'box-of-no-class',
                'error',
                f'{len(unnamed)} boxes have a category_id that no category has ({", ".join(ids)})',
                'add these ids to categories, or delete the boxes',
                box_items(coco, unnamed),
            )
        )
    return findings


def _images_without_boxes(coco: Coco) -> list[Finding]:
    """Note images that have no box."""
    with_boxes = {a['image_id'] for a in coco['annotations']}
    empty = [image for image in coco['images'] if image['id'] not in with_boxes]
    if not empty:
        return []
    return [
        Finding(
            'image-without-boxes',
            'note',
            f'{len(empty)} of {len(coco["images"])} images have no box',
            'if they hold no cell, keep them with filter_cfg=dict(filter_empty_gt=False)',
            [{'image': image['file_name']} for image in empty],
        )
    ]


def check_classes(coco: Coco, others: Mapping[str, Coco] | None = None) -> list[Finding]:
    """Check ids, names and numbers of the classes, within the set and against other splits."""
    return [
        *_class_ids_and_names(coco),
        *_class_counts(coco),
        *_class_order(coco, others or {}),
    ]


def _class_ids_and_names(coco: Coco) -> list[Finding]:
    """Check ids for gaps, and names for those that are easily confused."""
    findings = []
    ids = [category['id'] for category in coco['categories']]
    names = [category['name'] for category in coco['categories']]
    if ids and sorted(ids) != list(range(min(ids), min(ids) + len(ids))):
        findings.append(
            Finding(
                'class-id-gaps',
                'note',
                f'category ids have gaps: {", ".join(map(str, ids))}',
                'nothing to do here: classes are numbered in the order of metainfo.classes',
            )
        )
    alike = [group for group in _same_spelling(names).values() if len(group) > 1]
    odd = [n for n in names if not isinstance(n, str) or not n.strip() or n != n.strip()]
    if alike or odd:
        what = [' and '.join(map(repr, group)) for group in alike] + [repr(name) for name in odd]
        findings.append(
            Finding(
                'class-names',
                'warning',
                f'class names that are easily confused: {", ".join(what)}',
                'merge or rename them: a name in the config must match to the letter',
            )
        )
    return findings


def _class_counts(coco: Coco) -> list[Finding]:
    """Check for classes without boxes, or with far fewer than others."""
    findings = []
    ids = [category['id'] for category in coco['categories']]
    names = [category['name'] for category in coco['categories']]
    counts = Counter(a['category_id'] for a in coco['annotations'])
    empty = [name for i, name in zip(ids, names, strict=True) if not counts[i]]
    if empty:
        findings.append(
            Finding(
                'class-empty',
                'warning',
                f'no box of {", ".join(map(str, empty))}',
                'leave the class out of metainfo.classes, or find boxes of it: its AP is undefined',
            )
        )
    full = [(counts[i], name) for i, name in zip(ids, names, strict=True) if counts[i]]
    if full and max(full)[0] >= 20 * min(full)[0]:
        (most, common), (least, rare) = max(full), min(full)
        findings.append(
            Finding(
                'class-imbalance',
                'note',
                f'{common} has {most} boxes, {rare} {least}: {most / least:.0f} times as many',
                'read AP per class, not only its mean; ClassBalancedDataset repeats rare classes',
            )
        )
    return findings


def _class_order(coco: Coco, others: Mapping[str, Coco]) -> list[Finding]:
    """Compare the classes with those of other splits."""
    findings = []
    names = [category['name'] for category in coco['categories']]
    for split, other in others.items():
        their = [category['name'] for category in other['categories']]
        if their != names:
            findings.append(
                Finding(
                    'class-order',
                    'note' if sorted(map(str, their)) == sorted(map(str, names)) else 'error',
                    f'{split} has the classes {", ".join(map(str, their))}, this file '
                    f'{", ".join(map(str, names))}',
                    'give all splits the same categories; their order is free here, as classes are '
                    'numbered by metainfo.classes, but not in mmdet itself',
                )
            )
    return findings


def _same_spelling(names: list[Any]) -> dict[str, list[Any]]:
    """Group names that differ in case or punctuation only."""
    groups = defaultdict(list)
    for name in names:
        groups[''.join(c for c in str(name).lower() if c.isalnum())].append(name)
    return groups


def check_boxes(coco: Coco, huge: float = 0.8) -> list[Finding]:
    """Check each box by itself.

    Args:
        coco: The content.
        huge: Share of its image from which a box counts as huge.
    """
    by_fault, large, cut = _sorted_boxes(coco, huge)
    findings = []
    for fault, found in by_fault.items():
        check, level = _FAULT_CHECKS[fault]
        findings.append(
            Finding(
                check,
                level,
                f'{len(found)} boxes {fault}',
                'CervicalCellDataset leaves them out; mend them if the cell is real',
                box_items(coco, found),
            )
        )
    if cut:
        findings.append(
            Finding(
                'box-partly-outside',
                'note',
                f'{len(cut)} boxes reach over the edge of their image',
                'nothing to do if cells are cut there; many such boxes point to a wrong image size',
                box_items(coco, cut),
            )
        )
    if large:
        findings.append(
            Finding(
                'box-huge',
                'warning',
                f'{len(large)} boxes cover {100 * huge:.0f} % of their image or more',
                'check that they are not labels of the whole image',
                box_items(coco, large),
            )
        )
    return findings


def _sorted_boxes(coco: Coco, huge: float) -> tuple[dict[str, list[dict]], list[dict], list[dict]]:
    """Boxes by fault; those that can be used but are huge; those that reach over the edge."""
    images = {image['id']: image for image in coco['images']}
    by_fault: dict[str, list[dict]] = defaultdict(list)
    large, cut = [], []
    for a in coco['annotations']:
        image = images.get(a['image_id'])
        if image is None:
            continue
        width, height = image['width'], image['height']
        fault = box_fault(a['bbox'], width, height)
        if fault is not None:
            by_fault[fault].append(a)
            continue
        x, y, w, h = a['bbox']
        if w * h >= huge * width * height:
            large.append(a)
        # half a pixel is what rounding does
        if x < -0.5 or y < -0.5 or x + w > width + 0.5 or y + h > height + 0.5:
            cut.append(a)
    return by_fault, large, cut


def check_overlaps(coco: Coco, iou_thr: float = 0.9) -> list[Finding]:
    """Check for a cell that is boxed twice: with one class, or with two.

    Args:
        coco: The content.
        iou_thr: Overlap from which two boxes are of one cell.
    """
    by_image: dict[Any, list[dict]] = defaultdict(list)
    for a in good_boxes(coco):
        if not a.get('iscrowd'):
            by_image[a['image_id']].append(a)
    same: list[dict] = []
    differ: list[dict] = []
    for group in by_image.values():
        boxes = np.array([a['bbox'] for a in group], float)
        classes = np.array([a['category_id'] for a in group])
        first, second = np.nonzero(np.triu(pairwise_iou(boxes) >= iou_thr, 1))
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            (same if classes[i] == classes[j] else differ).append(group[j])
    findings = []
    if same:
        findings.append(
            Finding(
                'box-twice',
                'warning',
                f'{len(same)} boxes repeat another of their class (IoU {iou_thr:g} or more)',
                'delete them: a detector cannot find one cell twice',
                box_items(coco, same),
            )
        )
    if differ:
        findings.append(
            Finding(
                'box-two-classes',
                'warning',
                f'{len(differ)} boxes repeat one of another class (IoU {iou_thr:g} or more)',
                'decide for one class: one of the two counts as a miss whatever is detected',
                box_items(coco, differ),
            )
        )
    return findings


def pairwise_iou(boxes: np.ndarray) -> np.ndarray:
    """Compute the IoU of each two boxes.

    Args:
        boxes: x, y, w, h, shape ``(n, 4)``.

    Returns:
        Shape ``(n, n)``.
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    sides = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    common = sides.clip(min=0).prod(-1)
    area = boxes[:, 2:].prod(-1)
    return common / (area[:, None] + area[None] - common)
