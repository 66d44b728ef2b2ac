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

__all__ = ['read_label_studio']

#: What Label Studio puts before the name of an uploaded file.
_UPLOAD = re.compile(r'^[0-9a-f]{8}-')
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
    data = task['data']
    address = next(
        str(v) for k, v in data.items() if k in ('image', 'img', 'ocr') or len(data) == 1
    )
    parsed = urlparse(address)
    inside = parse_qs(parsed.query).get('d')  # /data/local-files/?d=folder/a.png
    name = PurePosixPath(unquote(inside[0] if inside else parsed.path)).name
    return _UPLOAD.sub('', name) if '/upload/' in address else name


def _bbox(region: dict[str, Any]) -> list[float]:
    """The box x, y, w, h, pixels, around a shape whose numbers are percent of the image."""
    value = region['value']
    size = np.array([region['original_width'], region['original_height']], float)
    if region['type'] == 'polygonlabels':
        points = np.array(value['points'], float) * size / 100
    elif region['type'] == 'ellipselabels':
        centre, radius = (
            np.array([value[a], value[b]]) for a, b in (('x', 'y'), ('radiusX', 'radiusY'))
        )
        points = np.array([centre - radius, centre + radius]) * size / 100
    else:
        start = np.array([value['x'], value['y']]) * size / 100
        extent = np.array([value['width'], value['height']]) * size / 100
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * extent
        angle = np.radians(value.get('rotation', 0))  # about the upper left corner
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = start + corners @ turn
    low, high = points.min(0), points.max(0)
    return [*map(float, low), *map(float, high - low)]
