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
from .coco_builder import MOST_BYTES, CocoBuilder
from .shapes import box_around, ellipse_corners

__all__ = ['read_label_studio']

#: What Label Studio puts before the name of an uploaded file.
_UPLOAD = re.compile(r'^[0-9a-f]{8}-')
#: How the address of an image ends, before a query.
_IMAGE = re.compile(r'\.(jpe?g|png|tiff?|bmp|webp)(\?.*)?$', re.IGNORECASE)
#: 'labels' where shapes and labels are tags of their own: a second result has the bare shape.
_KINDS = ('rectanglelabels', 'polygonlabels', 'ellipselabels', 'labels')
_SHAPES = ('width', 'points', 'radiusX')  # what a value has that is a box, polygon or ellipse


def read_label_studio(path: Path) -> CocoBuilder:
    """Read rectangles, polygons and ellipses as boxes; of several annotators the first counts.

    What has another form, as brush strokes, or no label is counted as left out. A task that nobody
    has annotated is no image without cells, and is left out, too; one whose annotation is empty
    stays.

    Args:
        path: The JSON file.

    Raises:
        DatasetError: It is not such a file, nobody has annotated a task, or two tasks are of images
            of one name.
    """
    try:
        tasks = json.loads(read_text(path, MOST_BYTES))
        done = [task for task in tasks if _annotation(task) is not None]
        if tasks and not done:
            raise DatasetError(
                f"'{path}': nobody has annotated any of its {len(tasks)} tasks, and predictions do "
                'not count: submit annotations in Label Studio, and export the project again'
            )
        parts = [(task, _regions(task)) for task in done]
        names = sorted({_label(region) for _, regions in parts for region in regions})
        builder = CocoBuilder(names, f'imported from Label Studio: {path.name}')
        for task, regions in parts:
            width, height = _size(regions)
            image_id = builder.add_image(_file_name(task), width, height)
            for region in regions:
                builder.add_box(image_id, _label(region), _bbox(region))
            for kind in _other_kinds(task):
                builder.left_out[f'{kind}, which is no box, polygon or ellipse with a label'] += 1
        if len(done) < len(tasks):
            builder.notes['that nobody has annotated: left out'] += len(tasks) - len(done)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"'{path}' is not Label Studio's JSON export ({error!r}): export the project as JSON "
            'or as COCO'
        ) from error
    return builder


def _annotation(task: dict[str, Any]) -> dict[str, Any] | None:
    """A task's first annotation that was not cancelled."""
    for annotation in task['completions' if 'completions' in task else 'annotations']:
        if not annotation.get('was_cancelled'):
            return annotation
    return None


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """All that was drawn or chosen in a task."""
    annotation = _annotation(task)
    return [] if annotation is None else annotation['result']


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    """What of it has a box and a label."""
    return [region for region in _results(task) if _is_box(region)]


def _is_box(region: dict[str, Any]) -> bool:
    """Whether it is a shape that has a box and a label."""
    kind, value = region.get('type'), region.get('value', {})
    return kind in _KINDS and bool(value.get(kind)) and any(key in value for key in _SHAPES)


def _other_kinds(task: dict[str, Any]) -> list[str]:
    """Kinds of what was drawn and is not read; choices and texts were not drawn."""
    results = _results(task)
    read = {region.get('id') for region in results if _is_box(region)} - {None}
    return [
        str(region.get('type'))
        for region in results
        if 'original_width' in region and not _is_box(region) and region.get('id') not in read
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
    if 'points' in value:
        points = np.array(value['points'], float) * size / 100
    elif 'radiusX' in value:
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
