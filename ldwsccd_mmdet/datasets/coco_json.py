"""Read COCO annotation files: for data sets, and as the truth that detections are measured on."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from ..errors import DatasetError, ResultsError
from .boxes import first_items

__all__ = ['index_truth', 'label_names', 'load_coco', 'load_truth', 'truth_boxes']

_REQUIRED = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox'),
    'categories': ('id', 'name'),
}


def load_truth(path: str | Path) -> COCO:
    """Read an annotation file.

    Args:
        path: COCO json.

    Raises:
        DatasetError: The file is missing, not JSON, or not COCO's.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(
            f"annotation file '{path}' cannot be read ({error.strerror or error}): check the path"
        ) from error
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError
        raise DatasetError(
            f"annotation file '{path}' is not JSON ({error}): it must be a COCO file; copy it "
            'again, or convert it'
        ) from error
    return index_truth(content, path)


def index_truth(content: Any, source: str | Path) -> COCO:
    """Index the content of an annotation file.

    Args:
        content: The decoded json.
        source: The file, for messages.

    Raises:
        DatasetError: A section or key of COCO's format is missing, or a category occurs twice.
    """
    required = {
        'images': ('id',),
        'annotations': ('id', 'image_id', 'category_id', 'bbox'),
        'categories': ('id', 'name'),
    }
    for section, keys in required.items():
        records = content.get(section) if isinstance(content, Mapping) else None
        if not isinstance(records, list):
            raise DatasetError(
                f"annotation file '{source}' has no list '{section}': a COCO file has "
                f'{", ".join(required)}'
            )
        for index, record in enumerate(records):
            lost = [key for key in keys if not isinstance(record, Mapping) or key not in record]
            if lost:
                raise DatasetError(
                    f"annotation file '{source}': {section}[{index}] lacks {', '.join(lost)}; each "
                    f'record needs {", ".join(keys)}'
                )
    for key in ('id', 'name'):
        values = [category[key] for category in content['categories']]
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice:
            raise DatasetError(
                f"annotation file '{source}': the {key} {', '.join(twice)} occurs twice in "
                f'categories: give each category its own {key}'
            )
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports on stdout
        coco.createIndex()
    return coco


def label_names(truth: COCO, classes: Sequence[str]) -> list[str]:
    """Return class names in the order in which mmdet numbers labels: that of the file.

    Args:
        truth: The annotated set.
        classes: The classes of the data set, in any order.

    Raises:
        ResultsError: The file has not all of them.
    """
    known = [category['name'] for category in truth.dataset['categories']]
    lost = [name for name in classes if name not in known]
    if lost:
        raise ResultsError(
            f'the detector was trained for classes that the annotations lack ({", ".join(lost)}; '
            f'they have {", ".join(known)}): evaluate it on annotations of its own classes'
        )
    return [name for name in known if name in classes]


def truth_boxes(truth: COCO, image_id: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return one image's annotations as arrays.

    Args:
        truth: The annotated images.
        image_id: The image.

    Returns:
        Annotation ids; boxes ``x1, y1, x2, y2``, shape ``(n, 4)``, in pixels of the image file;
        class indices, shape ``(n,)``, in the order of the file's categories.
    """
    index = {category['id']: i for i, category in enumerate(truth.dataset['categories'])}
    anns = truth.imgToAnns[image_id] if image_id in truth.imgToAnns else []
    bboxes = np.array([ann['bbox'] for ann in anns], float).reshape(-1, 4)
    bboxes[:, 2:] += bboxes[:, :2]
    labels = np.array([index[ann['category_id']] for ann in anns], int)
    return [ann['id'] for ann in anns], bboxes, labels


def load_coco(path: str | Path, source: str | None = None) -> dict[str, Any]:
    """Read a COCO annotation file and check that it can be used at all.

    Ids of categories may have gaps, as COCO's own have.

    Args:
        path: Path on a local disk.
        source: The file as the config gives it, for messages; ``path`` may be a local copy.

    Raises:
        DatasetError: The file can't be read, is not JSON, lacks a list or a key, gives an image no
            size, or uses an id or a class name twice. The message names the file and the remedy.
    """
    source = str(path) if source is None else source
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(
            f"annotation file '{source}' cannot be read ({error.strerror or error}): check "
            'data_root and ann_file in the config'
        ) from error
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError
        raise DatasetError(
            f"annotation file '{source}' is not JSON ({error}): it must be a COCO file; copy "
            'it again, or convert it'
        ) from error
    for section, keys in _REQUIRED.items():
        records = content.get(section) if isinstance(content, dict) else None
        if not isinstance(records, list):
            raise DatasetError(
                f"annotation file '{source}' has no list '{section}': a COCO file has "
                f'{", ".join(_REQUIRED)}'
            )
        for index, record in enumerate(records):
            missing = [k for k in keys if k not in record] if isinstance(record, dict) else keys
            if missing:
                raise DatasetError(
                    f"annotation file '{source}': {section}[{index}] lacks "
                    f'{", ".join(missing)}; each record needs {", ".join(keys)}'
                )
        sizes = [record.get('width', 1) for record in records]
        sizes += [record.get('height', 1) for record in records]
        if not all(isinstance(size, (int, float)) and size > 0 for size in sizes):
            raise DatasetError(
                f"annotation file '{source}': {section} has a width or height that is not a "
                'number above 0; give each image its size in pixels'
            )
        _check_once(records, 'id', section, source)
    _check_once(content['categories'], 'name', 'categories', source)
    return content


def _check_once(records: list[dict], key: str, section: str, source: str) -> None:
    """Raise one error that lists the values of a key that occur more than once."""
    counts = Counter(str(record[key]) for record in records)
    twice = [value for value, count in counts.items() if count > 1]
    if twice:
        raise DatasetError(
            f"annotation file '{source}': {len(twice)} {key}s occur twice in {section} "
            f'({first_items(twice)}): give each record its own {key}'
        )
