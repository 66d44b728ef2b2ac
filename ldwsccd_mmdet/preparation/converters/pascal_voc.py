"""Pascal VOC: one XML file an image, and lists of names for the splits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from ...datasets.files import (
    IMAGE_SUFFIXES,
    find_images,
    missing_files,
    open_regular,
    path_inside,
    read_text,
)
from ...errors import DatasetError
from .class_names import ClassMap
from .coco_builder import CocoBuilder

__all__ = ['read_pascal_voc', 'read_voc_split', 'voc_classes']

_MOST_XML = 1 << 26  # bytes


def read_voc_split(root: str | Path, split: str) -> list[str]:
    """Read the image names of ``ImageSets/Main/<split>.txt``.

    Raises:
        DatasetError: There is no such list, or it is empty.
    """
    file = Path(root) / 'ImageSets' / 'Main' / f'{split}.txt'
    if not file.is_file():
        there = sorted(path.stem for path in file.parent.glob('*.txt'))
        raise DatasetError(
            f"'{file}' does not exist: --splits must name lists of ImageSets/Main, found "
            f'{", ".join(there) or "none"}'
        )
    # a class list has a second column, 1, 0 or -1; a name may have blanks
    lines = [line.strip() for line in read_text(file).split('\n')]
    names = [re.sub(r'\s+(-1|0|1)$', '', line) for line in lines if line]
    names = [_without_suffix(name) for name in names]
    if not names:
        raise DatasetError(f"'{file}' lists no image: leave that split out of --splits")
    return names


def _without_suffix(name: str) -> str:
    """Take the suffix of an image from a name, which some tools leave there."""
    path = PurePosixPath(name)
    return str(path.with_suffix('')) if path.suffix.lower() in IMAGE_SUFFIXES else name


def voc_classes(root: str | Path, names: Sequence[str]) -> Counter[str]:
    """Count the boxes of each class name in the XML files of some images."""
    parsed = _parse_all(Path(root), names)
    return Counter(name for _, objects in parsed for name, _, _ in objects)


def read_pascal_voc(
    root: str | Path,
    names: Sequence[str],
    class_map: ClassMap | None = None,
    one_based: bool = False,
    min_size: float = 1,
    image_folder: str = 'JPEGImages',
) -> tuple[CocoBuilder, dict[str, Path]]:
    """Read images of a Pascal VOC folder.

    Sizes are read from the image files: those in the XML files are often wrong. A box marked
    ``difficult`` becomes ``iscrowd=1``: evaluation ignores it, training leaves it out.

    Args:
        root: Folder with ``Annotations`` and the image folder.
        names: Names of the images, without suffix, in the order of the result.
        class_map: Classes of the set; by default the sorted names that occur in ``names``.
        one_based: How corners are meant. False: as edges, the box is ``xmax - xmin`` wide, as
            labelImg and most tools write them. True: as in VOC 2007 to 2012, numbers of the first
            and the last pixel, counted from 1: the box is ``xmax - xmin + 1`` wide.
        min_size: Least width and height of a box, pixels.
        image_folder: Folder of the images.

    Returns:
        The records, and where each image lies by its file name.

    Raises:
        DatasetError: Files are missing (all are listed), broken, or have unknown classes.
    """
    root = Path(root)
    names = list(dict.fromkeys(names))
    parsed = _parse_all(root, names)
    found = Counter(name for _, objects in parsed for name, _, _ in objects)
    class_map = class_map or ClassMap()
    builder = CocoBuilder(
        class_map.check(found, str(root / 'Annotations')),
        f'Converted from Pascal VOC, {root.name}',
        min_size,
        corners='pixels counted from 1' if one_based else 'edges',
    )
    files = [_image_name(tree, name) for (tree, _), name in zip(parsed, names, strict=True)]
    images = _find_images(root, image_folder, files)
    shift = 1 if one_based else 0
    for (_, objects), (file_name, path) in zip(parsed, images.items(), strict=True):
        image_id = builder.add_image_file(file_name, path)
        for name, difficult, (x1, y1, x2, y2) in objects:
            bbox = [x1 - shift, y1 - shift, x2 - x1 + shift, y2 - y1 + shift]
            extra = {'difficult': 1} if difficult else {}
            builder.add_box(image_id, class_map(name), bbox, int(difficult), **extra)
    return builder, images


def _find_images(root: Path, image_folder: str, files: Sequence[str]) -> dict[str, Path]:
    """Where each image lies; all must be there, and inside the folder."""
    for file_name in files:
        path_inside(root / image_folder, file_name)
    found = find_images(root / image_folder, files)
    found.require(root / image_folder, str(root), f'put them into {image_folder}/')
    return {file_name: found.paths[file_name] for file_name in files}


_Parsed = tuple[ElementTree.Element, list[tuple[str, bool, list[float]]]]


def _parse_all(root: Path, names: Sequence[str]) -> list[_Parsed]:
    files = [root / 'Annotations' / f'{name}.xml' for name in names]
    missing = missing_files(files)
    if missing:
        raise DatasetError(
            f"{len(missing)} of the {len(files)} XML files of '{root}' are not there: "
            f'{", ".join(missing)}; put them there, or mend the lists of ImageSets/Main'
        )
    return [_parse(file) for file in files]


def _parse(file: Path) -> _Parsed:
    """Return the tree of an XML file, and name, difficulty and corners of its objects."""
    try:
        with open_regular(file) as stream:
            tree = ElementTree.fromstring(stream.read(_MOST_XML).lstrip())
        objects = [
            (
                _text(node, 'name'),
                # 'Unspecified' is what some tools write where nobody said
                _text(node, 'difficult', '0').lower() in ('1', 'true', 'yes'),
                [float(_text(node, f'bndbox/{key}')) for key in ('xmin', 'ymin', 'xmax', 'ymax')],
            )
            for node in tree.findall('object')
        ]
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise DatasetError(
            f"annotation file '{file}' is not Pascal VOC ({error}): each object needs name and "
            'bndbox with xmin, ymin, xmax, ymax; mend it, or take it out of the split'
        ) from error
    return tree, objects


def _text(node: ElementTree.Element, key: str, default: str | None = None) -> str:
    text = node.findtext(key, default)
    if text is None:
        raise ValueError(f'<{node.tag}> has no <{key}>')
    return text.strip()


def _image_name(tree: ElementTree.Element, name: str) -> str:
    """Return the image's file name: that of the XML file, with the suffix it names."""
    return name + (Path(tree.findtext('filename') or '').suffix or '.jpg')
