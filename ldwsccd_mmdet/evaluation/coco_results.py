"""Reading COCO's results json, which most tools write: Ultralytics, RF-DETR, our own predict."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from ..errors import ResultsError
from ..regular_files import read_json
from .predictions import Detections

__all__ = ['load_coco_results']

_KEYS = ('image_id', 'category_id', 'bbox', 'score')


def load_coco_results(path: str | Path, truth: COCO) -> dict[int, Detections]:
    """Read a list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.

    Images and classes are named by the ids of the annotation file. Some tools write other names,
    which are taken if all of the file are of one kind: the file name of the image, with or without
    its suffix (Ultralytics); the name of the class; places of the classes counted from 0, with a
    warning. An image without a record has no detection.

    Args:
        path: The json.
        truth: The annotated set.

    Returns:
        The detections of every image of the set, best score first, by image id; labels are places
        among the categories of the annotation file.

    Raises:
        ResultsError: The file is no such list, or names images or classes that the set lacks.
    """
    records = _read(Path(path))
    bboxes, scores = _numbers(records, path)
    images = _resolve(
        (record['image_id'] for record in records), _image_names(truth), 'image_id', path
    )
    labels = _resolve(
        (record['category_id'] for record in records), _class_names(truth), 'category_id', path
    )
    bboxes[:, 2:] += bboxes[:, :2]
    order = np.lexsort((-scores, images))
    cuts = np.searchsorted(images[order], sorted(truth.imgs))
    groups = np.split(order, cuts[1:])
    return {
        image_id: Detections(bboxes[mine], scores[mine], labels[mine])
        for image_id, mine in zip(sorted(truth.imgs), groups, strict=True)
    }


def _read(path: Path) -> list[Mapping[str, Any]]:
    """Read the list, and check that each record has what is needed."""
    try:
        records = read_json(path)
    except FileNotFoundError as error:
        raise ResultsError(f'no predictions at {path}: check the path') from error
    except (OSError, ValueError) as error:
        raise ResultsError(
            f'{path} cannot be read as json ({error}): write the results again'
        ) from error
    shape = "expected COCO's results, a list of records with " + ', '.join(_KEYS)
    if not isinstance(records, list):
        found = (
            f'an object with {", ".join(list(records)[:5])}' if isinstance(records, dict) else ''
        )
        raise ResultsError(
            f'{path}: {shape}; found {found or type(records).__name__} (an annotation file goes to '
            '--ann)'
        )
    for place, record in enumerate(records):
        lost = [key for key in _KEYS if not isinstance(record, Mapping) or key not in record]
        if lost:
            raise ResultsError(f'{path}: record {place} lacks {", ".join(lost)}; {shape}')
    return records


def _numbers(
    records: Sequence[Mapping[str, Any]], path: str | Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes ``x, y, w, h``, ``(n, 4)``, and scores, ``(n,)``."""
    try:
        bboxes = np.array([record['bbox'] for record in records], float).reshape(len(records), 4)
        scores = np.array([record['score'] for record in records], float).reshape(len(records))
    except (TypeError, ValueError) as error:
        raise ResultsError(
            f'{path}: each bbox must be four numbers x, y, w, h, each score one ({error})'
        ) from error
    right = np.isfinite(bboxes).all(1) & (bboxes[:, 2:] >= 0).all(1) & (scores >= 0) & (scores <= 1)
    if not right.all():
        place = int(np.argmin(right))
        raise ResultsError(
            f'{path}: record {place} has bbox {records[place]["bbox"]} and score '
            f'{records[place]["score"]}, expected x, y, w, h in pixels with w and h of 0 or more, '
            'and a score from 0 to 1'
        )
    return bboxes, scores


def _image_names(truth: COCO) -> list[dict[str, int]]:
    """List the ways to name an image; a name that two images share is none."""
    images = truth.dataset['images']
    names = [str(image.get('file_name', '')) for image in images]
    stems = [PurePosixPath(name).stem for name in names]
    ids = [image['id'] for image in images]
    return [
        {str(image['id']): image['id'] for image in images},
        {str(image['source_id']): image['id'] for image in images if 'source_id' in image},
        _once(names, ids),
        _once([PurePosixPath(name).name for name in names], ids),
        _once(stems, ids),
        # Ultralytics makes a number of a stem that is one
        _once([str(int(stem)) if stem.isdecimal() else stem for stem in stems], ids),
    ]


def _class_names(truth: COCO) -> list[dict[str, int]]:
    """List the ways to name a class, each to its place in the annotation file."""
    categories = truth.dataset['categories']
    places = range(len(categories))
    return [
        {str(c['id']): i for i, c in enumerate(categories)},
        {str(c['source_id']): i for i, c in enumerate(categories) if 'source_id' in c},
        {c['name']: i for i, c in enumerate(categories)},
        {str(i): i for i in places},
    ]


def _once(names: Sequence[str], ids: Sequence[int]) -> dict[str, int]:
    """Map names that occur once."""
    counts = Counter(names)
    return {name: i for name, i in zip(names, ids, strict=True) if counts[name] == 1}


def _resolve(
    values: Iterable[Any], ways: Sequence[Mapping[str, int]], key: str, path: str | Path
) -> np.ndarray:
    """Take the first way that knows every value."""
    texts = [str(value) for value in values]
    known = set(texts)
    for number, way in enumerate(ways):
        from_zero = key == 'category_id' and number == len(ways) - 1
        if known <= way.keys() and (not from_zero or '0' in known):
            if from_zero:
                warnings.warn(
                    f'{path}: category_id 0 is none of the annotation file, so the classes of this '
                    'file are taken as places counted from 0',
                    stacklevel=3,
                )
            return np.array([way[text] for text in texts], int)
    lost = sorted(known - ways[0].keys())
    raise ResultsError(
        f'{path}: {key} {", ".join(lost[:3])} ({len(lost)} of {len(known)}) is not in the '
        f'annotation file, which has {", ".join(list(ways[0])[:5])}{", ..." * (len(ways[0]) > 5)}: '
        'write the results with its ids, or name the annotations that they belong to'
    )
