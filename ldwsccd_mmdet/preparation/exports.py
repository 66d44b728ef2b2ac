"""Annotations as tools export them: which format it is, and where its images lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.coco_json import foreign_tool, read_coco
from ..datasets.files import find_images, image_size, read_text
from ..datasets.label_counts import LOUD
from ..errors import DatasetError
from .converters.coco_builder import MOST_BYTES, CocoBuilder
from .converters.cvat import read_cvat
from .converters.label_studio import read_label_studio
from .converters.labelme import read_labelme
from .converters.qupath import read_qupath

__all__ = ['Export', 'read_export']

_FORMATS = (
    'COCO json (CVAT, Roboflow and Label Studio write it too), CVAT XML, Label Studio JSON, a '
    'folder of labelme JSON or of QuPath GeoJSON; Pascal VOC and YOLO become COCO json by ldwsccd '
    'convert voc and ldwsccd convert yolo'
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
        notes: What of it is not used, or was found under another name, a line each.
    """

    source: Path
    kind: str
    content: dict[str, Any]
    paths: dict[str, Path]
    folder: Path | None
    notes: tuple[str, ...] = ()

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
    if images is not None and not Path(images).is_dir():
        raise DatasetError(f"--images: '{images}' is no folder: name that of the images")
    kind, content, lost, told = _read(source, Path(images) if images else None)
    base = source if source.is_dir() else source.parent
    names = [image['file_name'] for image in content['images']]
    if not names:
        raise DatasetError(f"'{source}' holds no image: check the export")
    folders = _folders(base if images is None else Path(images), names[0])
    tried = []
    for folder in folders:
        tried.append((folder, find_images(folder, names)))
        if not tried[-1][1].missing:
            break
    folder, found = max(tried, key=lambda one: len(one[1].paths))
    looked = ', '.join(str(each) for each in folders)
    found.require(folder, str(source), f'looked in {looked}: name their folder with --images')
    for image in content['images']:
        if not (image.get('width') and image.get('height')):
            image['width'], image['height'] = image_size(found.paths[image['file_name']])
    notes = [found.note] if found.note else []
    notes += [f"'{source}': {line}" for line in told]
    if lost:
        notes.append(f"'{source}': {_say_lost(lost, len(content['annotations']))}")
    return Export(source, kind, content, found.paths, None if found.near else folder, tuple(notes))


def _say_lost(lost: Mapping[str, int], boxes: int) -> str:
    """Say what is left out, and loudly if it is much."""
    count = sum(lost.values())
    reasons = '; '.join(f'{number} {reason}' for reason, number in lost.items())
    share = count / (count + boxes)
    loud = f'LABELS ARE LOST, {share:.0%}: ' if share > LOUD else ''
    return f'{loud}{count} labels are not used: {reasons}'


def _folders(base: Path, first: str | None = None) -> list[Path]:
    """A folder, those in it, and those beside it, where exporters put images.

    The one above is only taken if it holds the ``first`` image: it may be a home directory.
    """
    beside = base.parent / 'images'
    # CVAT puts its images into images/default, or another name of a subset
    places = [base, *_inside(base), *_inside(base / 'images'), beside, *_inside(beside)]
    if first is not None and (base.parent / first).is_file():
        places.append(base.parent)
    return [place for place in dict.fromkeys(places) if place.is_dir()][:60]


def _inside(folder: Path) -> list[Path]:
    """Folders in a folder; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())


#: Kind of an export, its COCO content, how many of its labels are left out, by reason, and what
#: else is to be known, a line each.
_Read = tuple[str, dict[str, Any], dict[str, int], list[str]]


def _read(source: Path, images: Path | None) -> _Read:
    """Tell the format of an export, and read it."""
    if source.is_dir():
        return _read_folder(source, images)
    suffix = source.suffix.lower()
    if suffix == '.xml':
        return _built('CVAT', read_cvat(source))
    if suffix == '.geojson':
        return _built('QuPath', read_qupath([source], _image_folders(source.parent, images)))
    if suffix == '.zip':
        raise DatasetError(f"'{source}' is packed: unpack it, and give the folder")
    if suffix != '.json':
        raise DatasetError(f"'{source}': expected {_FORMATS}")
    head = _json(source)
    if isinstance(head, list) and foreign_tool(head) in (None, 'Label Studio'):
        return _built('Label Studio', read_label_studio(source))
    if isinstance(head, dict) and 'shapes' in head:
        return _built('labelme', read_labelme([source]))
    if isinstance(head, dict) and head.get('type') == 'FeatureCollection':
        return _built('QuPath', read_qupath([source], _image_folders(source.parent, images)))
    return _coco(source)


def _built(kind: str, builder: CocoBuilder) -> _Read:
    told = [f'{count} images {what}' for what, count in builder.notes.items()]
    return kind, builder.content(), dict(builder.left_out), told


def _coco(source: Path) -> _Read:
    """Read COCO json, without the class that Roboflow makes of the name of a project."""
    file = read_coco(source, need_sizes=False)
    content = dict(file.content)
    categories = content['categories']
    used = {annotation['category_id'] for annotation in content['annotations']}
    above = {category.get('supercategory') for category in categories}
    content['categories'] = [
        category
        for category in categories
        if category['id'] in used or category['name'] not in above
    ]
    lost = {reason: len(group) for reason, group in file.left_out.items()}
    mended = '; '.join(f'{count} {what}' for what, count in file.mended.most_common())
    return 'COCO', content, lost, [f'put right: {mended}'] if mended else []


def _read_folder(source: Path, images: Path | None) -> _Read:
    """Read a folder of one file an image, or one that holds a single export."""
    geojson = sorted(source.rglob('*.geojson'))
    if geojson:
        folders = [*_image_folders(source, images), *{file.parent for file in geojson}]
        return _built('QuPath', read_qupath(geojson, folders))
    files = _files(source, '') or _files(source, '*/')
    labelme = [file for file in files if file.suffix == '.json' and _is_labelme(file)]
    if labelme and len(labelme) == len(files):
        return _built('labelme', read_labelme(labelme))
    if len(files) == 1:
        return _read(files[0], images)
    listed = ', '.join(file.relative_to(source).as_posix() for file in files[:5])
    raise DatasetError(
        f"folder '{source}' holds {listed or 'no .json, .xml or .geojson'}: name one file, and "
        f'the one for validation after it; expected {_FORMATS}'
    )


def _files(folder: Path, below: str) -> list[Path]:
    return sorted([*folder.glob(f'{below}*.json'), *folder.glob(f'{below}*.xml')])


def _image_folders(base: Path, images: Path | None) -> list[Path]:
    return [images] if images is not None else _folders(base)


def _is_labelme(file: Path) -> bool:
    content = _json(file)
    return isinstance(content, dict) and 'shapes' in content and 'imagePath' in content


def _json(file: Path) -> Any:
    try:
        return json.loads(read_text(file, MOST_BYTES))
    except ValueError as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"'{file}' is not JSON ({error}): export it again") from error
