"""What may lie where a file is asked for, and is not what is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ['KINDS', 'OUTPUTS', 'QUICK', 'put']

_PAGE = '<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n'
_POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 125829120\n'
_HALF = '{"images": [{"id": 1, "file_name": "1.jpg", "width": 96, "hei'
_DEEP = '{"images": 3, "annotations": "x", "categories": {"id": null}, "shapes": [[1]]}'


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


#: Kinds of what lies there instead of the input asked for.
KINDS: dict[str, Callable[[Path], object]] = {
    'missing': lambda path: None,
    'empty': _bytes(b''),
    'folder': lambda path: path.mkdir(),
    'junk': _bytes(bytes(range(256)) * 9),
    'half': _bytes(_HALF.encode()),
    'page': _bytes(_PAGE.encode()),
    'pointer': _bytes(_POINTER.encode()),
    'number': _bytes(b'7'),
    'null': _bytes(b'null'),
    'list': _bytes(json.dumps([1, 'x', None, {'a': []}]).encode()),
    'other': _bytes(_DEEP.encode()),
    'utf16': _bytes('\u00e9\n'.encode('utf-16')),
    'pipe': lambda path: os.mkfifo(path),
    'device': lambda path: path.symlink_to('/dev/zero'),
    'dangling': lambda path: path.symlink_to(path.parent / 'nowhere'),
    'loop': lambda path: path.symlink_to(path),
}


#: Those that are tried each time; the others are slow tests.
QUICK = frozenset({'missing', 'folder', 'junk', 'list', 'pipe', 'device'})


def put(kind: str, path: Path) -> Path:
    """Put what is no right input at a path; returns the path."""
    KINDS[kind](path)
    return path


def _file(folder: Path, name: str) -> Path:
    (folder / name).write_text('taken')
    return folder / name


def _below_file(folder: Path, name: str) -> Path:
    (folder / 'taken').write_text('taken')
    return folder / 'taken' / name


def _folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / 'of_the_user.txt').write_text('taken')
    return folder / name


#: Places where no output can be written, or something of the user's lies.
OUTPUTS: dict[str, Callable[[Path, str], Path]] = {
    'file': _file,
    'below_file': _below_file,
    'folder': _folder,
    'device': lambda folder, name: Path('/dev/full') / name,
    'proc': lambda folder, name: Path('/proc/nowhere') / name,
}
