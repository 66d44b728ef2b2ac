"""Pictures of what the checks of a data set found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...datasets.boxes import NO_NUMBERS, box_fault
from ...errors import ImageFileError
from ...image_files import read_image
from ...visualization.draw_detections import draw_detections
from .examine import Split
from .finding import Finding

__all__ = ['draw_finding']

MARGIN = 2.5  # a picture shows a box with this many times its size around it


def draw_finding(
    finding: Finding, split: Split, others: Sequence[Split], number: int, out: Path
) -> int:
    """Draw the first few things that a finding lists.

    Args:
        finding: The finding.
        split: The set that was examined.
        others: Its other splits.
        number: Pictures at most.
        out: Folder for them.

    Returns:
        How many pictures were written.
    """
    out.mkdir(parents=True, exist_ok=True)
    splits = {s.name: s for s in (split, *others)}
    sizes = {image['file_name']: image for image in split.coco['images']}
    done = 0
    for item in finding.items:
        if done == number:
            break
        if 'images' in item:
            picture = _alike(item['images'], splits)
        else:
            picture = _one_image(item, split, sizes)
        if picture is None:
            continue
        done += 1
        cv2.imwrite(str(out / f'{finding.check}_{done}.jpg'), picture[..., ::-1])
    return done


def _alike(names: Sequence[str], splits: Mapping[str, Split]) -> np.ndarray | None:
    """Put images that are taken for one side by side."""
    sources = [name.split(': ', 1) for name in names[:4]]
    pictures = [_read(splits[name].path(file)) for name, file in sources]
    tiles = [cv2.resize(picture, (400, 300)) for picture in pictures if picture is not None]
    return np.concatenate(tiles, 1) if tiles else None


def _one_image(
    item: Mapping[str, Any], split: Split, sizes: Mapping[str, Any]
) -> np.ndarray | None:
    """Show an image, or a box of it."""
    picture = _read(split.path(item['image'])) if item.get('image') else None
    image = sizes.get(item.get('image', ''))
    bbox = item.get('bbox')
    if picture is None or image is None or bbox is None:
        return picture
    fault = box_fault(bbox, image['width'], image['height'])
    if fault in (NO_NUMBERS, 'of negative size'):
        return None
    return _draw_box(picture, bbox, f'{item["class"]} #{item["annotation"]}')


def _read(path: Path) -> np.ndarray | None:
    try:
        return np.ascontiguousarray(read_image(path)[..., ::-1])
    except ImageFileError:
        return None


def _draw_box(picture: np.ndarray, bbox: Sequence[float], label: str) -> np.ndarray:
    """Draw one box in its surroundings, large enough to be seen."""
    x, y, w, h = bbox
    height, width = picture.shape[:2]
    reach = max(60.0, MARGIN * max(w, h)) / 2
    cx, cy = np.clip(x + w / 2, 0, width), np.clip(y + h / 2, 0, height)
    x1, y1 = (int(max(0, v - reach - s / 2)) for v, s in ((cx, w), (cy, h)))
    x2, y2 = int(min(width, cx + reach + w / 2)), int(min(height, cy + reach + h / 2))
    window = np.ascontiguousarray(picture[y1:y2, x1:x2])
    box = np.array([[x - x1, y - y1, x + w - x1, y + h - y1]])
    scale = max(1, round(400 / max(window.shape[:2])))
    return draw_detections(window, box, np.array([0]), classes=[label], scale=scale)
