"""QuPath's exports: one GeoJSON file an image, beside the image or named after it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...datasets.files import image_size, read_text
from ...errors import DatasetError
from .coco_builder import MOST_BYTES, CocoBuilder
from .shapes import box_around

__all__ = ['read_qupath']

_SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp')


def read_qupath(files: Sequence[Path], folders: Sequence[Path]) -> CocoBuilder:
    """Read annotations and detections that have a class, as boxes; others are counted as left out.

    Args:
        files: GeoJSON files, ``NAME.geojson`` for ``NAME.png`` (or ``NAME.png.geojson``).
        folders: Where the images may lie.

    Raises:
        DatasetError: A file is not GeoJSON, or its image is not found.
    """
    contents = []
    without = 0
    for file in files:
        image = _image_of(file, folders)
        try:
            content = json.loads(read_text(file, MOST_BYTES))
            features = content['features'] if isinstance(content, dict) else content
            shapes = [(name, _bbox(f['geometry'])) for f in features if (name := _class(f))]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DatasetError(
                f"'{file}' is not QuPath's GeoJSON ({error!r}): export the objects again"
            ) from error
        contents.append((image, *image_size(image), shapes))
        without += len(features) - len(shapes)
    names = sorted({label for *_, shapes in contents for label, _ in shapes})
    builder = CocoBuilder(names, 'imported from QuPath')
    builder.left_out.update({'without a class': without} if without else {})
    for image, width, height, shapes in contents:
        image_id = builder.add_image(image.name, width, height)
        for label, bbox in shapes:
            builder.add_box(image_id, label, bbox)
    return builder


def _class(feature: dict[str, Any]) -> str | None:
    """Class of a feature; None for regions without one."""
    kind = (feature.get('properties') or {}).get('classification') or {}
    return kind.get('name') or (kind.get('names') or [None])[0]


def _image_of(file: Path, folders: Sequence[Path]) -> Path:
    stem = file.stem
    for folder in folders:
        for name in (stem, *(f'{stem}{suffix}' for suffix in _SUFFIXES)):
            if (folder / name).is_file() and Path(name).suffix.lower() in _SUFFIXES:
                return folder / name
    looked = ', '.join(str(folder) for folder in folders)
    raise DatasetError(
        f"'{file}': no image '{stem}' ({', '.join(_SUFFIXES)}) in {looked}: put it there, or name "
        'its folder with --images'
    )


def _bbox(geometry: dict[str, Any]) -> list[float]:
    """The box x, y, w, h around a geometry, pixels."""
    return box_around(list(_points(geometry['coordinates'])))


def _points(coordinates: list) -> Iterator[list]:
    """Yield the points of coordinates of any depth."""
    if coordinates and isinstance(coordinates[0], (int, float)):
        yield coordinates[:2]
        return
    for part in coordinates:
        yield from _points(part)
