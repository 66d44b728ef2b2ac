"""What all converters share: records are collected, boxes judged, one new file written."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...datasets.boxes import box_fault, first_items
from ...datasets.coco_json import plain_name
from ...datasets.files import image_header, path_inside, reading_notes
from ...datasets.label_counts import LabelCounts
from ...errors import ConfigError, DatasetError

__all__ = [
    'MOST_BYTES',
    'CocoBuilder',
    'check_new',
    'dump',
    'place_images',
    'write_new',
    'write_set',
]

#: Of what a tool exports in one file: polygons of many slides, or labelme's copies of its images.
MOST_BYTES = 1 << 32


CLASS_LEFT_OUT = 'of a class left out'
NO_NAME = 'whose class has no name'


class CocoBuilder:
    """Collects images and boxes as COCO records, and counts what it leaves out and why.

    Each image keeps its label: ``image_labels`` lists the classes that the source says occur, also
    those whose boxes were left out; a record's own ``image_labels`` or ``image_label`` stays as
    it is.

    Args:
        classes: Class names; category ids count from 1 in this order. Names that differ in blanks
            around them or in the form of their accents are one; an empty one is none.
        description: What the set is, kept in ``info``.
        min_size: Least width and height of a box, pixels.
        **settings: Kept in ``info``: how the set was made.

    Raises:
        DatasetError: A class name has a line break.
    """

    def __init__(
        self, classes: Sequence[str], description: str, min_size: float = 1, **settings: Any
    ) -> None:
        plain = (plain_name(name) for name in classes)
        self.classes = tuple(dict.fromkeys(filter(None, plain)))
        broken = [name for name in self.classes if len(name.splitlines()) != 1]
        if broken:
            raise DatasetError(
                f'class names {broken} have a line break, which lists of classes cannot hold: '
                'rename them'
            )
        self.min_size = min_size
        self.info: dict[str, Any] = {'description': description, **settings}
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.left_out: Counter[str] = Counter()
        #: Images by what is to be known of them.
        self.notes: Counter[str] = Counter()
        self._category = {name: index + 1 for index, name in enumerate(self.classes)}
        self._labels: dict[int, set[str]] = {}
        self._names: set[str] = set()

    def add_image(self, file_name: str, width: int, height: int, **extra: Any) -> int:
        """Add an image; returns its id. ``extra`` is kept in its record.

        Raises:
            DatasetError: An image of that name is there: which boxes are whose, nothing tells.
        """
        if file_name in self._names:
            raise DatasetError(
                f"two images are named '{file_name}': rename one of them, or take one record out"
            )
        self._names.add(file_name)
        image_id = len(self.images) + 1
        record = {'id': image_id, 'file_name': file_name, 'width': width, 'height': height}
        self.images.append({**record, **extra})
        self._labels[image_id] = set()
        return image_id

    def add_image_file(self, file_name: str, path: str | Path, **extra: Any) -> int:
        """Add an image by its file, and note what of it is not read; returns its id."""
        header = image_header(path)
        self.notes.update(reading_notes(path, header))
        return self.add_image(file_name, header.width, header.height, **extra)

    def add_box(
        self, image_id: int, name: str | None, bbox: Sequence[float], iscrowd: int = 0, **extra: Any
    ) -> bool:
        """Add a box, or count why it is left out.

        Args:
            image_id: What :meth:`add_image` returned.
            name: Class; None for one that is to be left out.
            bbox: x, y, w, h in pixels of the image.
            iscrowd: 1 for a box that evaluation must ignore.
            **extra: Kept in the record.

        Returns:
            Whether the box is in.
        """
        if name is None:
            self.left_out[CLASS_LEFT_OUT] += 1
            return False
        name = plain_name(name)
        if not name:
            self.left_out[NO_NAME] += 1
            return False
        image = self.images[image_id - 1]
        self._labels[image_id].add(name)
        bbox = list(bbox)
        fault = box_fault(bbox, image['width'], image['height'], min_size=self.min_size)
        if fault is not None:
            self.left_out[fault] += 1
            return False
        self.annotations.append(
            {
                'id': len(self.annotations) + 1,
                'image_id': image_id,
                'category_id': self._category[name],
                'bbox': bbox,
                'area': bbox[2] * bbox[3],
                'iscrowd': iscrowd,
                **extra,
            }
        )
        return True

    def content(self) -> dict[str, Any]:
        """Return the COCO content."""
        images = []
        for image in self.images:
            labels = [name for name in self.classes if name in self._labels[image['id']]]
            own = 'image_label' in image or 'image_labels' in image
            images.append(image if own else {**image, 'image_labels': labels})
        return {
            'info': {**self.info, 'boxes_left_out': dict(self.left_out)},
            'licenses': [],
            'categories': [{'id': i, 'name': name} for name, i in self._category.items()],
            'images': images,
            'annotations': self.annotations,
        }

    def checked_content(self, source: str) -> dict[str, Any]:
        """Return the COCO content; warn where more than a tenth of the boxes is lost.

        Args:
            source: What was converted, for messages.

        Raises:
            DatasetError: No label is left.
        """
        content = self.content()
        counts = LabelCounts(source)
        counts.crowds = sum(a['iscrowd'] for a in self.annotations)
        counts.boxes = len(self.annotations) - counts.crowds
        counts.lost = {
            reason: [''] * count
            for reason, count in self.left_out.items()
            if reason != CLASS_LEFT_OUT
        }
        counts.image_labels = sum(
            bool(image.get('image_labels', image.get('image_label'))) for image in self.images
        )
        counts.other_classes = Counter(
            {'those renamed to nothing': n} if (n := self.left_out[CLASS_LEFT_OUT]) else {}
        )
        counts.check()
        return content

    def summary(self) -> str:
        """Say in one line what is in, and what was left out."""
        counts = Counter(annotation['category_id'] for annotation in self.annotations)
        classes = ', '.join(f'{name} {counts[i]}' for name, i in self._category.items())
        text = f'{len(self.images)} images, {len(self.annotations)} boxes ({classes})'
        if self.left_out:
            reasons = '; '.join(f'{count} {why}' for why, count in self.left_out.most_common())
            text += f'; left out {sum(self.left_out.values())} boxes: {reasons}'
        for what, count in self.notes.items():
            text += f'; {count} images {what}'
        return text


def check_new(*paths: str | Path) -> None:
    """Raise one error that lists those paths that exist: nothing is overwritten."""
    there = [str(path) for path in paths if os.path.lexists(path)]
    if there:
        raise ConfigError(
            f'--out: {", ".join(there)} exists, and nothing is overwritten: choose another name, '
            'or delete it first'
        )


def write_new(path: str | Path, text: str) -> None:
    """Write a file that is there whole or not at all, and was not there before."""
    path = Path(path)
    check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(part, 0o644)  # mkstemp makes it private
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def place_images(images: Mapping[str, Path], folder: Path, mode: str) -> None:
    """Put images into a folder.

    Args:
        images: ``{file name there: source file}``. What is there already stays.
        folder: The folder; made where missing.
        mode: ``'copy'``, ``'symlink'``, or ``'none'`` to do nothing.

    Raises:
        ConfigError: Another image of a name is there already; then nothing is placed.
        DatasetError: A name leads out of the folder.
    """
    if mode == 'none':
        return
    targets = {path_inside(folder, name): source for name, source in images.items()}
    taken = [str(t) for t, source in targets.items() if os.path.lexists(t) and not same(t, source)]
    if taken:
        raise ConfigError(
            f'{len(taken)} images are there already and are others ({first_items(taken)}): choose '
            'another --out, or delete them first'
        )
    for target, source in targets.items():
        if os.path.lexists(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == 'symlink':
            target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))
        else:
            _copy_whole(source, target)


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that it is there whole or not at all."""
    part = target.with_name(f'.{target.name}.{os.getpid()}')
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def same(one: Path, other: Path) -> bool:
    """Tell whether two files are one, or of the same content."""
    try:
        return os.path.samefile(one, other) or filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def dump(content: Mapping[str, Any]) -> str:
    """Encode as JSON; a number that JSON has not is an error, not a broken file."""
    try:
        return json.dumps(content, allow_nan=False)
    except ValueError as error:
        raise DatasetError(f'the set holds a number that JSON does not know: {error}') from error


def write_set(
    out: Path, splits: Mapping[str, tuple[CocoBuilder, Mapping[str, Path]]], image_mode: str
) -> list[str]:
    """Write ``<split>.json`` for each split, and ``images/``.

    Args:
        out: The folder; files of other names may be there already.
        splits: For each split its records, and where its images lie.
        image_mode: See :func:`place_images`.

    Returns:
        What is in each file, a line a split.

    Raises:
        ConfigError: One of the files is there already; then nothing is written.
        DatasetError: A split has no label left; then nothing is written.
    """
    check_new(*(out / f'{split}.json' for split in splits))
    contents = {
        split: dump(builder.checked_content(split)) for split, (builder, _) in splits.items()
    }
    for split, (_, images) in splits.items():
        place_images(images, out / 'images', image_mode)
        write_new(out / f'{split}.json', contents[split])
    return [f'{out / split}.json: {builder.summary()}' for split, (builder, _) in splits.items()]
