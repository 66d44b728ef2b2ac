"""The annotated set that detections are measured on."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from ..errors import DatasetError, ResultsError

__all__ = ['index_truth', 'label_names', 'load_truth', 'truth_boxes']


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
