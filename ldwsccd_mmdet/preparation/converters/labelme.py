"""labelme's files: one JSON an image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import numpy as np

from ...datasets.files import read_text
from ...errors import DatasetError
from .coco_builder import MOST_BYTES, CocoBuilder
from .shapes import box_around, ellipse_corners

__all__ = ['read_labelme']


def read_labelme(files: Sequence[Path]) -> CocoBuilder:
    """Read rectangles, polygons and circles as boxes.

    Args:
        files: The JSON files.

    Returns:
        The records; width and height 0 where a file does not give them.

    Raises:
        DatasetError: One of them is not labelme's, or two are of images of one name.
    """
    contents = []
    for file in files:
        try:
            content = json.loads(read_text(file, MOST_BYTES))
            shapes = [
                (str(s['label']), _bbox(s['points'], s.get('shape_type')))
                for s in content['shapes']
            ]
            name = PureWindowsPath(content['imagePath']).name  # knows both slashes
            # None where it was saved without them: the image tells
            width, height = (int(content.get(key) or 0) for key in ('imageWidth', 'imageHeight'))
            contents.append((name, width, height, shapes))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(
                f"'{file}' is not labelme's JSON ({error!r}): save it again, or take it out"
            ) from error
    names = sorted({label for *_, shapes in contents for label, _ in shapes})
    builder = CocoBuilder(names, 'imported from labelme')
    for name, width, height, shapes in contents:
        image_id = builder.add_image(name, width, height)
        for label, bbox in shapes:
            builder.add_box(image_id, label, bbox)
    return builder


def _bbox(points: list, kind: str | None) -> list[float]:
    """The box x, y, w, h around a shape."""
    array = np.array(points, float).reshape(-1, 2)
    if kind == 'circle':  # its centre, and a point on it
        radius = np.linalg.norm(array[1] - array[0])
        array = ellipse_corners(array[0], (radius, radius))
    return box_around(array)
