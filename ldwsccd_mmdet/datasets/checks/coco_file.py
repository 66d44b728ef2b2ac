"""Read an annotation file, or say what makes it unusable."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from ...errors import DatasetError
from .boxes import first_items

__all__ = ['load_coco']

_REQUIRED = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox'),
    'categories': ('id', 'name'),
}


def load_coco(path: str | Path, source: str | None = None) -> dict[str, Any]:
    """Read a COCO annotation file and check that it can be used at all.

    Ids of categories may have gaps, as COCO's own have.

    Args:
        path: Path on a local disk.
        source: The file as the config gives it, for messages; ``path`` may be a local copy.

    Raises:
        DatasetError: The file can't be read, is not JSON, lacks a list or a key, gives an image no
            size, or uses an id or a class name twice. The message names the file and the remedy.
    """
    source = str(path) if source is None else source
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(
            f"annotation file '{source}' cannot be read ({error.strerror or error}): check "
            'data_root and ann_file in the config'
        ) from error
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError
        raise DatasetError(
            f"annotation file '{source}' is not JSON ({error}): it must be a COCO file; copy "
            'it again, or convert it'
        ) from error
    for section, keys in _REQUIRED.items():
        records = content.get(section) if isinstance(content, dict) else None
        if not isinstance(records, list):
            raise DatasetError(
                f"annotation file '{source}' has no list '{section}': a COCO file has "
                f'{", ".join(_REQUIRED)}'
            )
        for index, record in enumerate(records):
            missing = [k for k in keys if k not in record] if isinstance(record, dict) else keys
            if missing:
                raise DatasetError(
                    f"annotation file '{source}': {section}[{index}] lacks "
                    f'{", ".join(missing)}; each record needs {", ".join(keys)}'
                )
        sizes = [record.get('width', 1) for record in records]
        sizes += [record.get('height', 1) for record in records]
        if not all(isinstance(size, (int, float)) and size > 0 for size in sizes):
            raise DatasetError(
                f"annotation file '{source}': {section} has a width or height that is not a "
                'number above 0; give each image its size in pixels'
            )
        _check_once(records, 'id', section, source)
    _check_once(content['categories'], 'name', 'categories', source)
    return content


def _check_once(records: list[dict], key: str, section: str, source: str) -> None:
    """Raise one error that lists the values of a key that occur more than once."""
    counts = Counter(str(record[key]) for record in records)
    twice = [value for value, count in counts.items() if count > 1]
    if twice:
        raise DatasetError(
            f"annotation file '{source}': {len(twice)} {key}s occur twice in {section} "
            f'({first_items(twice)}): give each record its own {key}'
        )
