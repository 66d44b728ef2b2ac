"""Annotations as tools export them: which format it is, and where its images lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.coco_json import read_coco
from ..datasets.files import find_images, image_size, read_text
from ..errors import DatasetError
from .converters.cvat import read_cvat
from .converters.label_studio import read_label_studio
from .converters.labelme import read_labelme
from .converters.qupath import read_qupath

__all__ = ['Export', 'read_export']

_FORMATS = (
    'COCO json (CVAT, Roboflow and Label Studio write it too), CVAT XML, Label Studio JSON, a '
    'folder of labelme JSON or of QuPath GeoJSON'
)


@dataclass(frozen=True)
class Export:
    """An annotated set as it lies on disk.

    Attributes:
        source: What was given.
        kind: Its format, for people.
        content: COCO content: images, categories, annotations; every image with its size.
        paths: The file of each ``file_name``.
        folder: The folder below which all images lie under their ``file_name``; None if some lie
            elsewhere, under a near name.
    """

    source: Path
    kind: str
    content: dict[str, Any]
    paths: dict[str, Path]
    folder: Path | None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the file."""
        return tuple(category['name'] for category in self.content['categories'])


def read_export(source: str | Path, images: str | Path | None = None) -> Export:
    """Read a set of annotations, and find its images: beside it, or one folder down.

    Args:
        source: A file, or a folder as a tool exported it.
        images: Folder of the images; None: looked for.

    Raises:
        DatasetError: Its format is not known, it can't be read, or its images are not found: the
            message says where they were looked for.
    """
    source = Path(source)
    if not source.exists():
        raise DatasetError(f"'{source}' does not exist: check the path")
    kind, content = _read(source, Path(images) if images else None)
    base = source if source.is_dir() else source.parent
    names = [image['file_name'] for image in content['images']]
    if not names:
        raise DatasetError(f"'{source}' holds no image: check the export")
    folders = _folders(base if images is None else Path(images), names[0])
    best = None
    for folder in folders:
        found = find_images(folder, names)
        if best is None or len(found.paths) > len(best[1].paths):
            best = (folder, found)
        if not found.missing:
            break
    assert best is not None
    folder, found = best
    looked = ', '.join(str(each) for each in folders)
    found.require(folder, str(source), f'looked in {looked}: name their folder with --images')
    for image in content['images']:
        if not (image.get('width') and image.get('height')):
            image['width'], image['height'] = image_size(found.paths[image['file_name']])
    return Export(source, kind, content, found.paths, None if found.near else folder)


def _folders(base: Path, first: str | None = None) -> list[Path]:
    """A folder, those in it, and those beside it, where exporters put images.

    The one above is only taken if it holds the ``first`` image: it may be a home directory.
    """
    inside = [base, *sorted(folder for folder in base.iterdir() if folder.is_dir())]
    beside = [base.parent / 'images'] if (base.parent / 'images').is_dir() else []
    if first is not None and (base.parent / first).is_file():
        beside.append(base.parent)
    return list(dict.fromkeys([*inside, *beside]))[:60]


def _read(source: Path, images: Path | None) -> tuple[str, dict[str, Any]]:
    """Tell the format of an export, and read it."""
    if source.is_dir():
        return _read_folder(source, images)
    suffix = source.suffix.lower()
    if suffix == '.xml':
        return 'CVAT', read_cvat(source).content()
    if suffix == '.geojson':
        return 'QuPath', read_qupath([source], _image_folders(source.parent, images)).content()
    if suffix != '.json':
        raise DatasetError(f"'{source}': expected {_FORMATS}")
    head = _json(source)
    if isinstance(head, list):
        return 'Label Studio', read_label_studio(source).content()
    if isinstance(head, dict) and 'shapes' in head:
        return 'labelme', read_labelme([source]).content()
    if isinstance(head, dict) and head.get('type') == 'FeatureCollection':
        return 'QuPath', read_qupath([source], _image_folders(source.parent, images)).content()
    return 'COCO', dict(read_coco(source, need_sizes=False).content)


def _read_folder(source: Path, images: Path | None) -> tuple[str, dict[str, Any]]:
    """Read a folder of one file an image, or one that holds a single export."""
    geojson = sorted(source.rglob('*.geojson'))
    if geojson:
        folders = [*_image_folders(source, images), *{file.parent for file in geojson}]
        return 'QuPath', read_qupath(geojson, folders).content()
    files = sorted(
        [*source.glob('*.json'), *source.glob('annotations/*.json'), *source.glob('*.xml')]
    )
    labelme = [file for file in files if file.suffix == '.json' and _is_labelme(file)]
    if labelme and len(labelme) == len(files):
        return 'labelme', read_labelme(labelme).content()
    if len(files) == 1:
        return _read(files[0], images)
    listed = ', '.join(file.name for file in files[:5]) or 'no .json, .xml or .geojson'
    raise DatasetError(f"folder '{source}' holds {listed}: name one file; expected {_FORMATS}")


def _image_folders(base: Path, images: Path | None) -> list[Path]:
    return [images] if images is not None else _folders(base)


def _is_labelme(file: Path) -> bool:
    content = _json(file)
    return isinstance(content, dict) and 'shapes' in content and 'imagePath' in content


def _json(file: Path) -> Any:
    try:
        return json.loads(read_text(file))
    except ValueError as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"'{file}' is not JSON ({error}): export it again") from error
