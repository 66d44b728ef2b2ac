"""Pictures of mined cells beside the boxes that the labels have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..image_files import read_image
from .draw_detections import draw_detections

__all__ = ['draw_mined_boxes']


def draw_mined_boxes(
    annotated: Mapping[str, Any],
    mined: Mapping[str, Any],
    image_folder: Path,
    out: Path,
    num: int = 12,
    min_prob: float = 0.5,
) -> list[Path]:
    """Draw the images with the most mined cells: their boxes on the left, what was mined right.

    Args:
        annotated: Annotations in COCO form.
        mined: What :func:`mine_missing_boxes` found of the same images, with ``prob``.
        image_folder: Folder of the images, which ``file_name`` is below.
        out: Folder; pictures are ``NUMBER_NAME.jpg``, most cells first.
        num: How many pictures.
        min_prob: Mined boxes less sure than this are not drawn, in [0, 1].

    Returns:
        The pictures; none where nothing was mined.

    Raises:
        ImageFileError: An image is missing or broken.
    """
    classes = [category['name'] for category in annotated['categories']]
    index = {category['id']: label for label, category in enumerate(annotated['categories'])}
    boxes, cells = _by_image(annotated), _by_image(mined)
    expected = {image: sum(a['prob'] for a in found) for image, found in cells.items()}
    images = {image['id']: image['file_name'] for image in annotated['images']}
    most = sorted((i for i in images if i in expected), key=lambda i: -expected[i])[:num]
    out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for rank, image_id in enumerate(most, start=1):
        image = np.ascontiguousarray(read_image(image_folder / images[image_id])[..., ::-1])
        sure = [a for a in cells[image_id] if a['prob'] >= min_prob]
        left = draw_detections(image, *_arrays(boxes[image_id], index), classes=classes, scale=1)
        probs = np.array([a['prob'] for a in sure])
        right = draw_detections(
            image, *_arrays(sure, index), probs, classes=classes, scale=1, names='fitting'
        )
        gap = np.full((len(left), 8, 3), 255, np.uint8)
        path = out / f'{rank:03d}_{Path(images[image_id]).stem}.jpg'
        Image.fromarray(np.concatenate([left, gap, right], axis=1)).save(path)
        pictures.append(path)
    return pictures


def _by_image(coco: Mapping[str, Any]) -> dict[Any, list[dict[str, Any]]]:
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in coco['annotations']:
        by_image[annotation['image_id']].append(annotation)
    return by_image


def _arrays(
    annotations: list[dict[str, Any]], index: Mapping[Any, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes x1, y1, x2, y2 (n, 4) and labels (n,)."""
    boxes = np.array([a['bbox'] for a in annotations], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, np.array([index[a['category_id']] for a in annotations], int)
