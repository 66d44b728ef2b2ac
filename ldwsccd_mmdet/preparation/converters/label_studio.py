"""Label Studio's own export: one JSON file, a list of tasks."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np

from ...datasets.files import read_text
from ...errors import DatasetError
from .coco_builder import CocoBuilder
from .shapes import box_around, ellipse_corners

__all__ = ['read_label_studio']

#: What Label Studio puts before the name of an uploaded file.
_UPLOAD = re.compile(r'^[0-9a-f]{8}-')
#: How the address of an image ends, before a query.
_IMAGE = re.compile(r'\.(jpe?g|png|tiff?|bmp|webp)(\?.*)?$', re.IGNORECASE)
_KINDS = ('rectanglelabels', 'polygonlabels', 'ellipselabels')


def read_label_studio(path: Path) -> CocoBuilder:
    """Read rectangles, polygons and ellipses as boxes; of several annotators the first counts.

    What has another form, as brush strokes, or no label is counted as left out.

    Args:
        path: The JSON file.

    Raises:
        DatasetError: It is not such a file.
    """
    try:
        tasks = json.loads(read_text(path))
        parts = [(task, _regions(task)) for task in tasks]
        names = sorted({_label(region) for _, regions in parts for region in regions})
        builder = CocoBuilder(names, f'imported from Label Studio: {path.name}')
        for task, regions in parts:
            width, height = _size(regions)
            image_id = builder.add_image(_file_name(task), width, height)
            for region in regions:
                builder.add_box(image_id, _label(region), _bbox(region))
            for kind in _other_kinds(task):
                builder.left_out[f'{kind}, which is no box, polygon or ellipse with a label'] += 1
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"'{path}' is not Label Studio's JSON export ({error!r}): export the project as JSON "
            'or as COCO'
        ) from error
    return builder


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Shapes with a label of a task's first annotation that was not cancelled."""
    return [region for region in _results(task) if _is_box(region)]


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """All that a task's first annotation that was not cancelled has."""
    for annotation in task.get('annotations', task.get('completions', [])):
        if not annotation.get('was_cancelled'):
            return annotation['result']
    return []


def _is_box(region: dict[str, Any]) -> bool:
    """Whether it is a shape that has a box and a label."""
    kind = region.get('type')
    return kind in _KINDS and bool(region['value'].get(kind))


def _other_kinds(task: dict[str, Any]) -> list[str]:
    """Kinds of what was drawn and is not read; choices and texts were not drawn."""
    return [
        str(region.get('type'))
        for region in _results(task)
        if 'original_width' in region and not _is_box(region)
    ]


def _label(region: dict[str, Any]) -> str:
    return str(region['value'][region['type']][0])


def _size(regions: list[dict[str, Any]]) -> tuple[int, int]:
    """Width and height of a task's image; 0, 0 where no shape tells."""
    if not regions:
        return 0, 0
    return int(regions[0]['original_width']), int(regions[0]['original_height'])


def _file_name(task: dict[str, Any]) -> str:
    """Name of a task's image, as it was before it was uploaded."""
    address = _address(task['data'])
    parsed = urlparse(address)
    inside = parse_qs(parsed.query).get('d')  # /data/local-files/?d=folder/a.png
    name = PurePosixPath(unquote(inside[0] if inside else parsed.path)).name
    return _UPLOAD.sub('', name) if '/upload/' in address else name


def _address(data: dict[str, Any]) -> str:
    """Where a task's image lies: its key is named in the project's labelling set-up.

    Raises:
        ValueError: No value looks like an image.
    """
    values = [str(data[key]) for key in ('image', 'img', 'ocr') if key in data]
    values += [value for value in map(str, data.values()) if _IMAGE.search(value)]
    if len(data) == 1:
        values += map(str, data.values())
    if not values:
        raise ValueError(f'no image among the data of a task: {", ".join(data)}')
    return values[0]


def _bbox(region: dict[str, Any]) -> list[float]:
    """The box x, y, w, h, pixels, around a shape whose numbers are percent of the image."""
    value = region['value']
    size = np.array([region['original_width'], region['original_height']], float)
    if region['type'] == 'polygonlabels':
        points = np.array(value['points'], float) * size / 100
    elif region['type'] == 'ellipselabels':
        centre, radius = (
            np.array([value[a], value[b]]) * size / 100
            for a, b in (('x', 'y'), ('radiusX', 'radiusY'))
        )
        points = ellipse_corners(centre, radius, value.get('rotation', 0))
    else:
        start = np.array([value['x'], value['y']]) * size / 100
        extent = np.array([value['width'], value['height']]) * size / 100
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * extent
        angle = np.radians(value.get('rotation', 0))  # about the upper left corner
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = start + corners @ turn
    return box_around(points)
