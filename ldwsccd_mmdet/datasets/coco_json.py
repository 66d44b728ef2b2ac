"""The one reader of COCO annotation files: what is usable, what was put right, what was left out.

Data set, evaluation, report, doctor and converters all read a file here, so that none of them
counts a box that another one has dropped.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import BaseStorageBackend, LocalBackend, get_file_backend
from pycocotools.coco import COCO

from ..errors import DatasetError, ResultsError
from ..regular_files import other_content
from .boxes import NO_NUMBERS, box_fault, first_items, guess_box_form
from .files import open_regular
from .label_counts import LabelCounts
from .mask_box import mask_box

__all__ = [
    'NO_CLASS',
    'NO_IMAGE',
    'CocoFile',
    'clean_coco',
    'foreign_tool',
    'index_truth',
    'label_names',
    'load_coco',
    'load_truth',
    'missing_classes',
    'plain_name',
    'quoted',
    'read_coco',
    'storage_of',
    'truth_boxes',
    'truth_of_records',
]

NO_IMAGE = 'boxes belong to no image of the file'
NO_CLASS = 'of category_id {}, which the file does not name'

_SECTIONS = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('image_id', 'category_id'),
    'categories': ('id', 'name'),
}
_LARGEST_ID = 2**53  # from here on JSON readers and arrays of floats confuse neighbours


@dataclass
class CocoFile:
    """An annotation file as it is used.

    Ids are whole numbers: those of the file, or places from 1 where the file's are texts that are
    no numbers; ``source_id`` then keeps the file's. An annotation has ``id`` from 1, ``image_id``,
    ``category_id``, ``bbox`` (x, y, w, h, pixels of the image), ``area`` (px^2) and ``iscrowd``
    (0 or 1), whatever the file leaves out.

    Attributes:
        source: The file, for messages.
        content: Images, categories, and the annotations that can be used, in COCO's form.
        left_out: The other annotations by reason, as the file has them.
        mended: What was put right, and how often.
    """

    source: str
    content: dict[str, Any]
    left_out: dict[str, list[dict]] = field(default_factory=dict)
    mended: Counter[str] = field(default_factory=Counter)

    @property
    def everything(self) -> dict[str, Any]:
        """The content with the annotations that cannot be used, too: for checks of a set."""
        bad = [annotation for group in self.left_out.values() for annotation in group]
        return {**self.content, 'annotations': [*self.content['annotations'], *bad]}

    def counts(self) -> LabelCounts:
        """Count the boxes that can teach or be found, and those that cannot, by reason."""
        counts = LabelCounts(self.source)
        crowds = sum(a['iscrowd'] for a in self.content['annotations'])
        counts.boxes = len(self.content['annotations']) - crowds
        counts.crowds = crowds
        for reason, group in self.left_out.items():
            counts.lost[reason] = [str(source_id(annotation)) for annotation in group]
        counts.image_labels = sum(
            bool(i.get('image_labels', i.get('image_label'))) for i in self.content['images']
        )
        counts.form = guess_form(self.everything)
        boxes = self.content['annotations']
        counts.repeated = len(boxes) - len(set(map(_place_and_class, boxes)))
        return counts

    def index(self) -> COCO:
        """Index the content for pycocotools."""
        return _index(self.content)


def source_id(annotation: Mapping[str, Any]) -> Any:
    """Return the id that the file gives an annotation; a dash if it gives none."""
    return annotation.get('source_id', annotation.get('id', '-'))


def quoted(names: Iterable[Any]) -> str:
    """List names so that those with blanks can be told apart: ``('a b', 'c')``."""
    names = [repr(str(name)) for name in names]
    return f'({", ".join(names)}{"," if len(names) == 1 else ""})'


# -- reading


def read_coco(
    path: str | Path,
    source: str | None = None,
    backend_args: dict | None = None,
    need_sizes: bool = True,
) -> CocoFile:
    """Read an annotation file as exporters write it, in UTF-8 or UTF-16, with or without a mark.

    Args:
        path: The file, on a local disk or where ``backend_args`` says.
        source: The file as the config gives it, for messages.
        backend_args: See :mod:`mmengine.fileio`.
        need_sizes: Whether each image needs its width and height.

    Raises:
        DatasetError: The file can't be read, or see :func:`clean_coco`.
    """
    source = str(path) if source is None else source
    try:
        backend = storage_of(str(path), backend_args)
        if isinstance(backend, LocalBackend):
            with open_regular(path) as file:
                data = file.read()
        else:
            data = backend.get(str(path))
    except FileNotFoundError as error:
        raise DatasetError(
            f"annotation file '{source}' does not exist: check data_root and ann_file in the config"
        ) from error
    except OSError as error:
        raise DatasetError(
            f"annotation file '{source}' cannot be read ({error.strerror or error}): check "
            'data_root and ann_file in the config'
        ) from error
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError
        other = other_content(data)
        if other is not None:
            raise DatasetError(f"annotation file '{source}' {other}") from error
        raise DatasetError(
            f"annotation file '{source}' cannot be read, as it is not JSON ({error}): it must be a "
            'COCO file; copy it again, or convert it'
        ) from error
    return clean_coco(content, source, need_sizes)


def storage_of(path: str, backend_args: dict | None = None) -> BaseStorageBackend:
    """Return what reads a path: mmengine's backend for a local disk, or for an address.

    Raises:
        DatasetError: It is an address of a kind that mmengine does not know.
    """
    try:
        return get_file_backend(path, backend_args=backend_args)
    except (KeyError, ValueError) as error:  # of a prefix that is none, or of two of them
        raise DatasetError(
            f"'{path}' cannot be read: no file backend of mmengine knows such an address; name "
            'files relative to data_root and data_prefix.img'
        ) from error


def load_coco(path: str | Path, source: str | None = None) -> dict[str, Any]:
    """Read an annotation file for a tool; say on the log what of it is not used.

    Args:
        path: The file.
        source: The file as it is to be named in messages.

    Raises:
        DatasetError: See :func:`read_coco`, or no label of the file can be used.
    """
    file = read_coco(path, source)
    file.counts().check()
    return file.content


def load_truth(path: str | Path) -> COCO:
    """Read an annotation file and index it, as the truth that detections are measured on.

    Args:
        path: COCO json.

    Raises:
        DatasetError: See :func:`read_coco`.
    """
    return read_coco(path, need_sizes=False).index()


def index_truth(content: Any, source: str | Path) -> COCO:
    """Clean and index the content of an annotation file, whose images need no sizes.

    Args:
        content: The decoded json.
        source: The file, for messages.

    Raises:
        DatasetError: See :func:`clean_coco`.
    """
    return clean_coco(content, str(source), need_sizes=False).index()


def _index(content: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports on stdout
        coco.createIndex()
    return coco


# -- cleaning


def clean_coco(content: Any, source: str, need_sizes: bool = True) -> CocoFile:
    """Put right what can be put right, and sort out what cannot be used.

    Put right are: ids as text, missing, from 0, or twice among the annotations; ``iscrowd`` as
    text or missing, and ``ignore``, which counts as ``iscrowd``; an ``area`` that is missing, 0 or
    no number; numbers as text; boxes that only a polygon or a mask gives; class names that are
    numbers; several records of one image file, which become one with the boxes of all.

    Args:
        content: The decoded json; it is not changed.
        source: The file, for messages.
        need_sizes: Whether each image needs its width and height.

    Raises:
        DatasetError: A section is missing, a record lacks a key or has one of another type, an
            image or a category occurs twice, or the boxes count the categories from another number
            than the categories. The message names the file, the record and the remedy.
    """
    mended: Counter[str] = Counter()
    required = dict(_SECTIONS)
    if not need_sizes:
        required['images'] = ('id',)
    for section, keys in required.items():
        _check_section(content, section, keys, source)
    images = [_clean_image(i, image, source, mended) for i, image in enumerate(content['images'])]
    categories = [
        _clean_category(i, category, source, mended)
        for i, category in enumerate(content['categories'])
    ]
    _check_once(categories, 'name', 'categories', source)
    _check_not_shifted(content, source)
    images, image_ids = _number(images, 'images', source, mended)
    categories, category_ids = _number(categories, 'categories', source, mended)
    # some exporters write names where ids are due
    for records, ids, key in ((images, image_ids, 'file_name'), (categories, category_ids, 'name')):
        for record in records:
            if key in record:
                ids.setdefault(_key(record[key]), record['id'])
    images, joined = _join_images(images, source, mended)
    image_ids = {key: joined.get(number, number) for key, number in image_ids.items()}
    sizes = {image['id']: (image.get('width'), image.get('height')) for image in images}
    cleaned = (
        _clean_annotation(a, image_ids, category_ids, mended) for a in content['annotations']
    )
    annotations, left_out = _sort_out(cleaned, sizes, mended)
    annotations = _once_each(annotations, set(joined.values()), mended)
    content = {
        **content,
        'images': images,
        'categories': categories,
        'annotations': _number_annotations(annotations, mended),
    }
    return CocoFile(source, content, left_out, mended)


def _sort_out(
    cleaned: Iterable[tuple[dict[str, Any], str | None]],
    sizes: Mapping[int, tuple[Any, Any]],
    mended: Counter[str],
) -> tuple[list[tuple[int, dict[str, Any]]], dict[str, list[dict]]]:
    """Annotations that can be used, with their places, and the others by what is wrong."""
    annotations: list[tuple[int, dict[str, Any]]] = []
    left_out: dict[str, list[dict]] = defaultdict(list)
    for place, (annotation, fault) in enumerate(cleaned, 1):
        fault = fault or box_fault(annotation['bbox'], *sizes[annotation['image_id']])
        if fault is not None:
            left_out[fault].append(annotation)
            continue
        annotations.append((place, _complete(annotation, mended)))
    return annotations, dict(left_out)


def _check_section(content: Any, section: str, keys: Sequence[str], source: str) -> None:
    """Raise if a list of records is missing, or one of them lacks a key."""
    records = content.get(section) if isinstance(content, Mapping) else None
    if not isinstance(records, list):
        raise DatasetError(
            f"annotation file '{source}' has no list '{section}': a COCO file has "
            f'{", ".join(_SECTIONS)}{_foreign(content)}'
        )
    for index, record in enumerate(records):
        known = isinstance(record, Mapping)
        missing = [key for key in keys if not known or key not in record]
        if missing:
            raise DatasetError(
                f"annotation file '{source}': {section}[{index}] lacks {', '.join(missing)}; each "
                f'record needs {", ".join(keys)}; found {_short(record)}'
            )


def _foreign(content: Any) -> str:
    """Name the tool whose own format a file seems to have, and what to do."""
    sample = content[0] if isinstance(content, list) and content else content
    if isinstance(sample, Mapping) and {'image_id', 'category_id', 'bbox'} <= set(sample):
        return (
            '; this looks like results, the detections of a model: give the annotation file that '
            'they are of'
        )
    tool = foreign_tool(content)
    return f"; this looks like {tool}'s own format: export it as COCO there" if tool else ''


def foreign_tool(content: Any) -> str | None:
    """Name the tool whose own format a decoded JSON seems to have; None if none does.

    A record of a list, or of a dict of images by name, tells as much as the whole.
    """
    samples = [content]
    if isinstance(content, list):
        samples = content[:1]
    elif isinstance(content, Mapping):
        samples += list(content.values())[:1]
    for sample in samples:
        keys = set(sample) if isinstance(sample, Mapping) else set()
        for tool, needed in _TOOLS:
            if needed <= keys:
                return tool
    return None


_TOOLS: tuple[tuple[str, set[str]], ...] = (
    ('labelme', {'shapes', 'imagePath'}),
    ('VIA', {'_via_img_metadata'}),
    ('VIA', {'regions', 'filename'}),
    ('Label Studio', {'annotations', 'data'}),
    ('Supervisely', {'objects', 'size'}),
    ('QuPath', {'geometry', 'type'}),
    ('QuPath', {'features', 'type'}),
    ('CreateML', {'image', 'annotations'}),
)


def _short(record: Any, most: int = 120) -> str:
    """Write a record for a message."""
    text = repr(record) if not isinstance(record, (dict, list)) else json.dumps(record, default=str)
    return text if len(text) <= most else text[:most] + ' ...'


def _clean_image(index: int, image: Mapping, source: str, mended: Counter[str]) -> dict:
    """Check the name and the size of an image."""
    image = dict(image)
    where = f"annotation file '{source}': images[{index}]"
    name = image.get('file_name', '')
    if not isinstance(name, str) or '\0' in name or ('file_name' in image and not name.strip()):
        raise DatasetError(
            f'{where} has the file_name {_short(name)}: expected the name of an image file'
        )
    for key in ('width', 'height'):
        if key not in image:
            continue
        size = _as_number(image[key])
        if size is None or not 0 < size < float('inf'):
            raise DatasetError(
                f'{where} has a width or height that is not a number above 0: '
                f'{key} {_short(image[key])}; give each image its size in pixels'
            )
        if size is not image[key]:
            image[key] = size
            mended['sizes as text'] += 1
    return image


def _clean_category(index: int, category: Mapping, source: str, mended: Counter[str]) -> dict:
    """Check the name of a class; one that is a number becomes text."""
    name = category['name']
    if isinstance(name, (int, float)) and not isinstance(name, bool):
        mended['class names that are numbers'] += 1
        return {**category, 'name': str(name)}
    if not isinstance(name, str) or not name.strip() or _control(name):
        raise DatasetError(
            f"annotation file '{source}': categories[{index}] has the name {_short(name)}: "
            'expected text of one line'
        )
    plain = plain_name(name)
    if plain != name:
        mended['class names with blanks around them, or accents of another form'] += 1
    return {**category, 'name': plain}


def plain_name(name: str) -> str:
    """Write a class name in one form: without blanks around it, accents composed (NFC)."""
    return unicodedata.normalize('NFC', name).strip()


def _control(text: str) -> bool:
    return any(c in text for c in '\r\n\0\x0b\x0c\x85\u2028\u2029')


def _key(value: Any) -> Any:
    """Write an id in the form that ``3``, ``3.0`` and ``'3'`` share; None if it is no id."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    text = unicodedata.normalize('NFC', value).strip()
    whole = re.fullmatch(r'(0|-?[1-9][0-9]{0,17})(\.0+)?', text)  # pandas writes 3.0
    return int(whole[1]) if whole else text or None


def _number(
    records: list[dict], section: str, source: str, mended: Counter[str]
) -> tuple[list[dict], dict[Any, int]]:
    """Give records whole numbers as ids; returns them, and the number of each id of the file."""
    keys = [_key(record['id']) for record in records]
    for index, (key, record) in enumerate(zip(keys, records, strict=True)):
        if key is None:
            raise DatasetError(
                f"annotation file '{source}': {section}[{index}] has the id "
                f'{_short(record["id"])}: expected a whole number or a text'
            )
    _check_once([{'id': key} for key in keys], 'id', section, source)
    plain = all(isinstance(key, int) and abs(key) < _LARGEST_ID for key in keys)
    numbers = keys if plain else list(range(1, len(keys) + 1))
    changed = sum(
        type(record['id']) is not int or record['id'] != number
        for number, record in zip(numbers, records, strict=True)
    )
    if changed:
        mended[f'ids of {section} that are no whole numbers'] += changed
    out = [
        record
        if type(record['id']) is int and record['id'] == number
        else {**record, 'id': number, 'source_id': record['id']}
        for number, record in zip(numbers, records, strict=True)
    ]
    return out, dict(zip(keys, numbers, strict=True))


def _check_not_shifted(content: Mapping[str, Any], source: str) -> None:
    """Raise where boxes count the categories from another number than the categories do."""
    ids = {_key(category['id']) for category in content['categories']}
    used = {_key(annotation['category_id']) for annotation in content['annotations']}
    strange = used - ids
    if len(strange) != 1 or not ids or not all(isinstance(i, int) for i in ids | strange):
        return
    (number,), low, high = strange, min(ids), max(ids)
    if high - low != len(ids) - 1:
        return
    if (number == low - 1 and high not in used) or (number == high + 1 and low not in used):
        step = 1 if number < low else -1
        raise DatasetError(
            f"annotation file '{source}': categories have the ids {low} to {high}, but boxes the "
            f'category_id {number}, and none {high if step > 0 else low}: they seem to count from '
            'different numbers, so that each box would be of the class beside its own; add '
            f'{step} to each category_id, or delete the boxes of {number} if they are of no class'
        )


_OF_A_FILE = ('width', 'height', 'image_label', 'image_labels', 'supervision')


def _join_images(
    images: Sequence[dict], source: str, mended: Counter[str]
) -> tuple[list[dict], dict[int, int]]:
    """Make one record of those that name one file: the boxes of one are missing in the others.

    Returns:
        The records that stay, and for each of the others the id of the one that stands for it.
    """
    first: dict[str, dict] = {}
    joined: dict[int, int] = {}
    for image in images:
        name = image.get('file_name')
        kept = image if name is None else first.setdefault(name, image)
        if kept is image:
            continue
        differ = [key for key in _OF_A_FILE if kept.get(key) != image.get(key)]
        if differ:
            raise DatasetError(
                f"annotation file '{source}': several images have the file_name {name!r}, with "
                f'another {" and ".join(differ)}: give each picture a name of its own, or keep one '
                'record of it, with the boxes of all'
            )
        joined[image['id']] = kept['id']
    if joined:
        mended['images whose file another record names, too: joined with it'] += len(joined)
    return [image for image in images if image['id'] not in joined], joined


def _once_each(
    annotations: list[tuple[int, dict]], images: set[int], mended: Counter[str]
) -> list[tuple[int, dict]]:
    """Leave one of equal boxes in images whose records were joined."""
    if not images:
        return annotations
    seen: set[tuple] = set()
    kept = []
    for place, annotation in annotations:
        key = _place_and_class(annotation)
        if annotation['image_id'] in images and key in seen:
            mended['boxes that several records of a file have: once'] += 1
            continue
        seen.add(key)
        kept.append((place, annotation))
    return kept


def _place_and_class(annotation: Mapping[str, Any]) -> tuple:
    return (annotation['image_id'], annotation['category_id'], *annotation['bbox'])


def _clean_annotation(
    raw: Mapping[str, Any],
    image_ids: Mapping[Any, int],
    category_ids: Mapping[Any, int],
    mended: Counter[str],
) -> tuple[dict[str, Any], str | None]:
    """Resolve the ids of an annotation, and read its box; returns also what is wrong with an id."""
    annotation, fault = dict(raw), None
    for key, ids in (('category_id', category_ids), ('image_id', image_ids)):
        number = ids.get(_key(raw[key]))
        if number is None:
            # text, which is no id of the content
            annotation[key] = str(raw[key]) if _key(raw[key]) is not None else _short(raw[key])
            fault = NO_IMAGE if key == 'image_id' else NO_CLASS.format(annotation[key])
            continue
        if type(raw[key]) is not int:
            mended[f'{key} of another type'] += 1
        annotation[key] = number
    bbox = raw.get('bbox')
    if isinstance(bbox, (list, tuple)) and len(bbox) == 4:
        numbers = [_as_number(value) for value in bbox]
        if not any(value is None for value in numbers) and numbers != list(bbox):
            mended['boxes of numbers as text'] += 1
            bbox = numbers
    if not bbox or (isinstance(bbox, (list, tuple)) and not any(bbox)):
        around = mask_box(raw.get('segmentation'))
        if around is not None:
            mended['boxes that only a polygon or a mask gives'] += 1
            bbox = around
    annotation['bbox'] = bbox
    return annotation, fault


def _as_number(value: Any) -> Any:
    """Return a number, also one given as text; None if it is none."""
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # a whole number of more than 308 digits
        return None
    return number if isinstance(value, str) else value


def _complete(annotation: dict[str, Any], mended: Counter[str]) -> dict[str, Any]:
    """Fill in ``area`` and ``iscrowd`` of an annotation whose box can be used."""
    area = _as_number(annotation.get('area'))
    if area is None or not 0 < area < float('inf'):
        mended['areas that are missing, 0 or no number: those of the boxes'] += 1
        area = annotation['bbox'][2] * annotation['bbox'][3]
    annotation['area'] = area
    crowd = _flag(annotation.get('iscrowd'))
    if crowd is None or type(annotation.get('iscrowd')) is not int:
        mended['iscrowd that is missing or neither 0 nor 1: 0, or as its text says'] += 1
    if _flag(annotation.pop('ignore', 0)):
        mended['ignore=1: iscrowd=1'] += 1
        crowd = 1
    annotation['iscrowd'] = crowd or 0
    return annotation


def _flag(value: Any) -> int | None:
    """Read a flag: 0 or 1, also as a text or a truth value; None for anything else."""
    if isinstance(value, str):
        text = value.strip().lower()
        words = {'false': 0, 'no': 0, 'n': 0, '': 0, 'true': 1, 'yes': 1, 'y': 1}
        value = words.get(text, _as_number(text))
    return int(value) if isinstance(value, (int, float)) and value in (0, 1) else None


def _number_annotations(
    annotations: Sequence[tuple[int, dict]], mended: Counter[str]
) -> list[dict]:
    """Give annotations ids that pycocotools can tell apart: whole numbers above 0, each once."""
    keys = [_key(annotation.get('id')) for _, annotation in annotations]
    plain = [isinstance(key, int) and 0 < key < _LARGEST_ID for key in keys]
    if all(plain) and len(set(keys)) == len(keys):
        return [
            annotation if annotation['id'] is key else {**annotation, 'id': key}
            for key, (_, annotation) in zip(keys, annotations, strict=True)
        ]
    mended['ids of annotations: numbered from 1'] += len(keys)
    return [
        {**annotation, 'id': place, 'source_id': annotation.get('id', '-')}
        for place, annotation in annotations
    ]


def _check_once(records: Sequence[Mapping], key: str, section: str, source: str) -> None:
    """Raise one error that lists the values of a key that occur more than once."""
    counts = Counter(str(record[key]) for record in records)
    twice = [value for value, count in counts.items() if count > 1]
    if twice:
        raise DatasetError(
            f"annotation file '{source}': {len(twice)} {key}s occur twice in {section} "
            f'({first_items(twice)}): give each record its own {key}'
        )


# -- what the classes of a set are in a file


def missing_classes(
    classes: Sequence[str], in_file: Sequence[str], may_lack: bool
) -> tuple[list[str], str | None]:
    """Compare the classes of a set with those of a file.

    Args:
        classes: The classes asked for.
        in_file: The classes that the file names.
        may_lack: Whether the file may lack some, as a split does in which they don't occur.

    Returns:
        The classes that the file lacks, and what is wrong with that, None if nothing is.
    """
    missing = [name for name in classes if name not in in_file]
    spare = [name for name in in_file if name not in classes]
    near = {_bare(name): name for name in spare}
    pairs = [(name, near[_bare(name)]) for name in missing if _bare(name) in near]
    if pairs:
        return missing, '; '.join(f'{ours!r} is spelt {theirs!r} there' for ours, theirs in pairs)
    if not missing or (may_lack and not spare and len(missing) < len(classes)):
        return missing, None
    return missing, ''


def _bare(name: str) -> str:
    plain = unicodedata.normalize('NFC', str(name)).casefold()
    return ''.join(c for c in plain if c.isalnum())


def label_names(truth: COCO, classes: Sequence[str]) -> list[str]:
    """Return the class names that labels index: those of the data set, in its order.

    Args:
        truth: The annotated set.
        classes: The classes of the data set.

    Raises:
        ResultsError: The file has not the classes that the data set has.
    """
    known = [category['name'] for category in truth.dataset['categories']]
    missing, wrong = missing_classes(classes, known, may_lack=True)
    if wrong is not None:
        raise ResultsError(
            f'the detector was trained for classes that the annotations lack ({", ".join(missing)};'
            f' they have {", ".join(known)}{wrong and "; " + wrong}): evaluate it on annotations '
            'of its own classes'
        )
    return list(classes)


# -- truth for evaluation


def truth_boxes(truth: COCO, image_id: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return one image's annotations as arrays.

    Args:
        truth: The annotated images.
        image_id: The image.

    Returns:
        Annotation ids; boxes ``x1, y1, x2, y2``, shape ``(n, 4)``, in pixels of the image file;
        class indices, shape ``(n,)``, in the order of the file's categories.
    """
    index = {category['id']: i for i, category in enumerate(truth.dataset['categories'])}
    anns = truth.imgToAnns[image_id] if image_id in truth.imgToAnns else []
    bboxes = np.array([ann['bbox'] for ann in anns], float).reshape(-1, 4)
    bboxes[:, 2:] += bboxes[:, :2]
    labels = np.array([index[ann['category_id']] for ann in anns], int)
    return [ann['id'] for ann in anns], bboxes, labels


def truth_of_records(
    records: Iterable[Mapping[str, Any]], classes: Sequence[str], source: str
) -> COCO:
    """Index what a data set has loaded, so that evaluation counts that and nothing else.

    Args:
        records: One ``data_info`` of an mmdet data set an image.
        classes: Its classes; category ids are their places, which ascend as COCO's tools need it.
        source: The data set, for messages.

    Raises:
        DatasetError: Two images have one id.
    """
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for record in records:
        images.append(
            {
                'id': record['img_id'],
                'file_name': record.get('img_path', ''),
                'width': record.get('width', 1),
                'height': record.get('height', 1),
            }
        )
        for instance in record.get('instances', ()):
            if 0 < instance.get('ignore_flag', 0) < 1:
                continue  # mined, not annotated
            x1, y1, x2, y2 = instance['bbox']
            boxes.append(
                {
                    'id': len(boxes) + 1,
                    'image_id': record['img_id'],
                    'category_id': instance['bbox_label'],
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': instance.get('area', (x2 - x1) * (y2 - y1)),
                    'iscrowd': int(instance.get('ignore_flag', 0)),
                }
            )
    _check_once(images, 'id', 'images', source)
    categories = [{'id': i, 'name': name} for i, name in enumerate(classes)]
    return _index({'images': images, 'categories': categories, 'annotations': boxes})


def guess_form(coco: Mapping[str, Any]) -> str | None:
    """Guess that the boxes of a content have another form than x, y, w, h in pixels."""
    sizes = {i['id']: (i['width'], i['height']) for i in coco['images'] if 'width' in i}
    rows = [
        (a['bbox'], sizes[a['image_id']])
        for a in coco['annotations']
        if a['image_id'] in sizes and _four_numbers(a['bbox'])
    ]
    bboxes = np.array([bbox for bbox, _ in rows], float).reshape(-1, 4)
    return guess_box_form(bboxes, np.array([size for _, size in rows], float).reshape(-1, 2))


def _four_numbers(bbox: Any) -> bool:
    return box_fault(bbox, None, None) != NO_NUMBERS


def same_file(one: str | Path, other: str | Path) -> bool:
    """Tell whether two paths name one file."""
    return os.path.realpath(one) == os.path.realpath(other)
