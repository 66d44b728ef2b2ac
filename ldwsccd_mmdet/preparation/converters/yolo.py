"""YOLO: one text file an image, a line a box: class index, centre, width and height as fractions.

The format has no place for labels of whole images. A file ``image_labels.json`` beside the text
files keeps them; other tools pass over it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from ...datasets.boxes import box_fault, first_items
from ...datasets.files import IMAGE_SUFFIXES, read_text
from ...errors import DatasetError
from .coco_builder import CocoBuilder

__all__ = ['read_class_names', 'read_yolo', 'yolo_files']

LABELS_FILE = 'image_labels.json'
_LABEL_KEYS = ('image_label', 'image_labels', 'supervision')
_MOST_NAMES = 1 << 20  # bytes of a list of names
_MOST_FRACTION = 2  # a box may reach over the edge, but not by that


class _PlainLoader(yaml.BaseLoader):
    """YAML whose scalars are all text, as a class may be called ``no`` or ``1``; no aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('it has aliases (*name), which a list of names does not need')
        return super().compose_node(parent, index)


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Read class names: a text file with one a line, or a YAML file with ``names``.

    Raises:
        DatasetError: No such file, or no names in it.
    """
    path = Path(path)
    try:
        text = read_text(path, _MOST_NAMES)
        if path.suffix.lower() in ('.yaml', '.yml'):
            names = (yaml.load(text, _PlainLoader) or {}).get('names', ())
            if isinstance(names, dict):
                by_index = {int(index): name for index, name in names.items()}
                lost = [str(i) for i in range(max(by_index, default=-1) + 1) if i not in by_index]
                if lost:
                    raise ValueError(f'names has no entry {first_items(lost)}')
                names = [by_index[index] for index in range(len(by_index))]
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise ValueError('names is no list of texts')
        elif text.lstrip().startswith(('{', '[')):
            raise ValueError('it is JSON')
        else:
            names = [line.strip() for line in text.split('\n') if line.strip()]
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"class names cannot be read from '{path}' ({' '.join(str(error).split())}): "
            'expected one name a line, or a YAML file with names: [...]'
        ) from error
    names = tuple(names)
    if not names or len(set(names)) != len(names):
        raise DatasetError(f"'{path}' has the class names {names}: expected some, each once")
    return names


def read_yolo(
    image_dir: str | Path,
    label_dir: str | Path,
    classes: Sequence[str],
    min_size: float = 1,
) -> tuple[CocoBuilder, dict[str, Path]]:
    """Read a folder of images and the one of their text files.

    An image without a text file has no boxes, as YOLO has it.

    Args:
        image_dir: Folder of the images; subfolders too.
        label_dir: Folder of the text files, with the same subfolders.
        classes: Names of the class indices.
        min_size: Least width and height of a box, pixels.

    Returns:
        The records, and where each image lies by its file name.

    Raises:
        DatasetError: There is no image, a text file belongs to none, a line is not a box, or the
            boxes are corners, not centres and sizes.
    """
    image_dir, label_dir = Path(image_dir), Path(label_dir)
    paths = sorted(p for p in image_dir.rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
    images = {path.relative_to(image_dir).as_posix(): path for path in paths}
    if not images:
        raise DatasetError(f"no image in '{image_dir}': check --images")
    text_of = {file: label_dir / Path(file).with_suffix('.txt') for file in images}
    _check_one_each(text_of)
    texts = set(label_dir.rglob('*.txt')) - set(text_of.values())
    strays = sorted(str(p) for p in texts if p.name not in ('classes.txt', 'train.txt', 'val.txt'))
    if strays or not any(path.is_file() for path in text_of.values()):
        raise DatasetError(
            f"text files of '{label_dir}' and images of '{image_dir}' don't belong together: "
            f'{len(strays)} text files without an image ({", ".join(strays) or "none is there"}); '
            'check --images and --labels'
        )
    builder = CocoBuilder(classes, f'Converted from YOLO, {label_dir.name}', min_size)
    labels = _read_labels(label_dir / LABELS_FILE)
    boxes = {file: _read_boxes(text_of[file], len(classes)) for file in images}
    _check_no_corners([box[1:] for of_image in boxes.values() for box in of_image], label_dir)
    for file, path in images.items():
        image_id = builder.add_image_file(file, path, **labels.get(file, {}))
        width, height = (builder.images[-1][key] for key in ('width', 'height'))
        for label, cx, cy, w, h in boxes[file]:
            bbox = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
            builder.add_box(image_id, classes[label], bbox)
    return builder, images


def _read_labels(file: Path) -> dict[str, dict[str, Any]]:
    """Read the labels of whole images, if there are any."""
    try:
        labels = json.loads(read_text(file)) if file.is_file() else {}
        return {name: {key: record[key] for key in record} for name, record in labels.items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"'{file}' is not a JSON object with a label record for each image ({error}): copy it "
            'again, or delete it'
        ) from error


def _read_boxes(path: Path, num_classes: int) -> list[tuple[int, float, float, float, float]]:
    """Read the lines of one text file."""
    boxes = []
    lines = read_text(path).split('\n') if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label, cx, cy, w, h = line.split()
            box = (_class_index(label), float(cx), float(cy), float(w), float(h))
            if max(box[1:]) > _MOST_FRACTION:
                raise ValueError('pixels or percent, not fractions of the image')
            if not 0 <= box[0] < num_classes:
                raise ValueError(f'class {box[0]} of {num_classes}')
        except ValueError as error:
            raise DatasetError(
                f"'{path}', line {number} is '{line[:80]}' ({error}): expected a class index below "
                f'{num_classes} and four fractions, centre x, centre y, width, height'
            ) from error
        boxes.append(box)
    return boxes


def _check_no_corners(boxes: Sequence[Sequence[float]], label_dir: Path) -> None:
    """Raise if boxes as centres and sizes reach out of their images, and as corners do not."""
    if len(boxes) < 3:
        return
    numbers = np.array(boxes, float)
    first, last = numbers[:, :2], numbers[:, 2:]
    outside = ((first - last / 2 < -0.01) | (first + last / 2 > 1.01)).any(1)
    if outside.mean() > 0.02 and (last > first).all() and first.min() >= 0 and last.max() <= 1.01:
        raise DatasetError(
            f"'{label_dir}': the boxes look like x1, y1, x2, y2: write the centre, (x1 + x2) / 2 "
            'and (y1 + y2) / 2, and the size, x2 - x1 and y2 - y1'
        )


def _class_index(text: str) -> int:
    """Read ``3``, and the ``3.0`` that some tools write."""
    value = float(text)
    if not value.is_integer():
        raise ValueError(f'class {text}')
    return int(value)


def yolo_files(coco: Mapping[str, Any]) -> tuple[dict[str, str], Counter[str]]:
    """Write a COCO content as YOLO text files.

    Fractions have ten decimals: of an image 100,000 px wide that is 1e-5 px, where the usual six
    would be 0.1 px.

    Args:
        coco: The content, as :func:`~ldwsccd_mmdet.datasets.coco_json.load_coco` reads it.

    Returns:
        ``{file name: text}``: ``classes.txt``, ``image_labels.json`` if images have labels, and one
        text file an image; and what was left out, by reason.

    Raises:
        DatasetError: Two images share a text file, or an annotation has no image or class.
    """
    categories = {c['id']: index for index, c in enumerate(coco['categories'])}
    records = {image['id']: image for image in coco['images']}
    text_of = {
        image['file_name']: PurePosixPath(image['file_name']).with_suffix('.txt')
        for image in coco['images']
    }
    _check_one_each(text_of)
    left_out: Counter[str] = Counter()
    lines: dict[str, list[str]] = defaultdict(list)
    for annotation in coco['annotations']:
        image = records.get(annotation['image_id'])
        if image is None or annotation['category_id'] not in categories:
            left_out['of an image or a class that the file does not list'] += 1
            continue
        fault = box_fault(annotation['bbox'], image['width'], image['height'])
        if fault is None and annotation.get('iscrowd'):
            fault = 'crowd, for which YOLO has no place'
        if fault is not None:
            left_out[fault] += 1
            continue
        x, y, w, h = annotation['bbox']
        width, height = image['width'], image['height']
        fractions = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
        numbers = ' '.join(f'{value:.10f}' for value in fractions)
        lines[image['file_name']].append(f'{categories[annotation["category_id"]]} {numbers}\n')
    files = {text.as_posix(): ''.join(lines[file]) for file, text in text_of.items()}
    files['classes.txt'] = _class_list([category['name'] for category in coco['categories']])
    labels = {
        image['file_name']: {key: image[key] for key in _LABEL_KEYS if key in image}
        for image in coco['images']
    }
    if any(labels.values()):
        files[LABELS_FILE] = json.dumps(labels)
    return files, left_out


def _class_list(names: Sequence[Any]) -> str:
    """Class names, one a line."""
    broken = [name for name in names if len(str(name).splitlines()) != 1]
    if broken:
        raise DatasetError(
            f'class names {broken} have a line break or are empty: a list with one a line cannot '
            'hold them; rename them'
        )
    return ''.join(f'{name}\n' for name in names)


def _check_one_each(text_of: Mapping[str, Any]) -> None:
    """Raise one error where images share a text file."""
    by_text = defaultdict(list)
    for file, text in text_of.items():
        by_text[text].append(file)
    taken = [by_text[text][0] for text in by_text if str(text) == 'classes.txt']
    if taken:
        raise DatasetError(
            f"image '{taken[0]}' would have its boxes in classes.txt, the list of "
            'classes: rename it'
        )
    shared = [' and '.join(files) for files in by_text.values() if len(files) > 1]
    if shared:
        raise DatasetError(
            f'images share a text file, as they differ in their suffix only: {"; ".join(shared)}; '
            'rename one of each'
        )
