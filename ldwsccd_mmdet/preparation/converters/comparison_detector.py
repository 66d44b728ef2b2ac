"""The paper's set: COCO json of the Comparison Detector data (Liang et al.)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ...datasets.coco_json import read_coco, source_id
from ...datasets.files import require_images
from ...errors import DatasetError
from .class_names import CCD_CLASSES, ClassMap
from .coco_builder import CocoBuilder

__all__ = ['SPLIT_SIZES', 'read_comparison_detector', 'read_comparison_splits']

#: Images of the public split: 7,410 in all.
SPLIT_SIZES = {'train': 6666, 'test': 744}


def read_comparison_detector(
    json_file: str | Path,
    image_dir: str | Path | None = None,
    class_map: ClassMap | None = None,
    min_size: float = 2,
) -> CocoBuilder:
    """Read a json of the set: classes in the paper's spelling and order, bad boxes left out.

    Args:
        json_file: Its ``train.json`` or ``test.json``.
        image_dir: Folder of the images, to check that all are there; None does not check.
        class_map: Classes of the set; by default the paper's eleven.
        min_size: Least width and height of a box, pixels. The set has boxes 1 px wide or high,
            slips of the mouse: 2, the default, leaves them out; their images keep the class.

    Raises:
        DatasetError: The file is not COCO, has boxes of unknown classes or without an image, or
            images are missing: all of them are listed.
    """
    file = read_coco(json_file)
    source = file.everything
    names = {category['id']: category['name'] for category in source['categories']}
    found: Counter[str] = Counter()
    boxes: dict[object, list[dict]] = {image['id']: [] for image in source['images']}
    for annotation in source['annotations']:
        if annotation['category_id'] not in names or annotation['image_id'] not in boxes:
            raise DatasetError(
                f"annotation file '{json_file}': annotation {source_id(annotation)} has "
                f'category_id {annotation["category_id"]} and image_id {annotation["image_id"]}, '
                'which the file does not both list: take a whole copy of the file'
            )
        found[names[annotation['category_id']]] += 1
        boxes[annotation['image_id']].append(annotation)
    class_map = class_map or ClassMap(CCD_CLASSES)
    builder = CocoBuilder(
        class_map.check(found, str(json_file)),
        f'Comparison Detector data, {Path(json_file).stem}',
        min_size,
    )
    files = _file_names(source['images'], json_file)
    if image_dir is not None:
        paths = [Path(image_dir) / file for file in files]
        require_images(paths, str(json_file), 'put them into the folder that --images names')
    kept = ('image_label', 'image_labels', 'supervision')
    for image, name in zip(source['images'], files, strict=True):
        extra = {key: image[key] for key in kept if key in image}
        image_id = builder.add_image(name, image['width'], image['height'], **extra)
        for annotation in boxes[image['id']]:
            builder.add_box(
                image_id,
                class_map(names[annotation['category_id']]),
                annotation['bbox'],
                int(bool(annotation.get('iscrowd', 0))),
            )
    return builder


def _file_names(images: Sequence[Mapping[str, Any]], json_file: str | Path) -> list[str]:
    """Names of the image files, each once; some copies hold paths of the authors' machine."""
    names = [image['file_name'].replace('\\', '/') for image in images]
    files = [PurePosixPath(name).name for name in names]
    twice = sorted(name for name, count in Counter(files).items() if count > 1)
    if twice:
        raise DatasetError(
            f"annotation file '{json_file}' lists {len(twice)} image files twice: "
            f'{", ".join(twice)}; take a whole copy of the file'
        )
    return files


def read_comparison_splits(
    json_files: Mapping[str, Path], image_dir: Path, class_map: ClassMap, min_size: float = 2
) -> dict[str, tuple[CocoBuilder, dict[str, Path]]]:
    """Read the splits of the set, and check that they share no image.

    Args:
        json_files: ``{split: its json}``, two of them.
        image_dir: Folder of the images.
        class_map: Classes of the set.
        min_size: Least width and height of a box, pixels.

    Returns:
        For each split its records, and where its images lie.

    Raises:
        DatasetError: An image is in both; or see :func:`read_comparison_detector`.
    """
    splits = {}
    for split, file in json_files.items():
        builder = read_comparison_detector(file, image_dir, class_map, min_size)
        names = [image['file_name'] for image in builder.images]
        splits[split] = builder, {name: image_dir / name for name in names}
    first, second = splits
    common = sorted(set(splits[first][1]) & set(splits[second][1]))
    if common:
        raise DatasetError(
            f'{len(common)} images are in {first} and in {second} ({", ".join(common[:10])}): '
            'take whole copies of the two files'
        )
    return splits
