"""Files that a user names: regular ones, of bounded length, in the encodings that tools write."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import IO, Any

from .errors import DatasetError

__all__ = ['open_regular', 'other_content', 'read_json', 'read_text']

_MOST_TEXT = 1 << 26  # bytes: no list of names or boxes of one image is that long
_CHUNK = 1 << 22  # bytes read at a time


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a file for reading; a pipe, which may never end, or a device is an error.

    Raises:
        OSError: The file can't be opened, or is not a regular one.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(0, 'not a regular file, but a folder, a pipe or a device')
    return Path(path).open('rb')


def other_content(data: bytes) -> str | None:
    """Say what lies there instead of a text that a tool wrote, and what to do; None if nothing.

    Args:
        data: The content of the file, or its first bytes.
    """
    start = data[:60].lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if not data:
        return 'is empty: fetch the file again'
    if start.startswith(b'version https://git-lfs'):
        return 'is a pointer of Git LFS: fetch the file itself, git lfs pull'
    if start.startswith((b'<!doctype html', b'<html')):
        return 'is a web page: fetch the file again'
    if data.startswith((b'\x1f\x8b', b'PK\x03\x04', b'BZh', b'\xfd7zXZ', b'7z\xbc\xaf')):
        return 'is packed: unpack it, and give the file within'
    return None


def read_text(path: str | Path, most: int = _MOST_TEXT) -> str:
    """Read a text file as other tools leave it: UTF-8 or UTF-16, with or without a mark.

    Args:
        path: The file.
        most: Bytes above which it is taken for something else.

    Raises:
        DatasetError: It can't be read, is too long, in another encoding, a web page, packed, or a
            pointer of Git LFS.
    """
    try:
        with open_regular(path) as file:
            data = _read_bounded(file, most + 1)
    except OSError as error:
        raise DatasetError(
            f"'{path}' cannot be read ({error.strerror or error}): check the path"
        ) from error
    if len(data) > most:
        raise DatasetError(
            f"'{path}' is longer than {most:,} bytes: it is not the text file that is expected "
            'here; check the path'
        )
    other = other_content(data) if data else None  # a list may be empty
    if other is not None:
        raise DatasetError(f"'{path}' {other}")
    marked = data.startswith((b'\xff\xfe', b'\xfe\xff'))
    # text of ASCII letters in UTF-16 has a zero in every second byte
    bare = 'utf-16-le' if data[1:2] == b'\0' else 'utf-16-be' if data[:1] == b'\0' else 'utf-8-sig'
    try:
        return data.decode('utf-16' if marked else bare)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"'{path}' is not text in UTF-8 or UTF-16 ({error}): save it as UTF-8"
        ) from error


def _read_bounded(file: IO[bytes], most: int) -> bytes:
    """Read to the end, or so many bytes; ``read(most)`` would take that memory for any file."""
    data = bytearray()
    while len(data) < most and (part := file.read(min(_CHUNK, most - len(data)))):
        data += part
    return bytes(data)


def read_json(path: str | Path) -> Any:
    """Read a JSON file in UTF-8, UTF-16 or UTF-32, with or without a mark.

    Raises:
        OSError: The file can't be opened, or is not a regular one.
        ValueError: It is no JSON.
    """
    with open_regular(path) as file:
        data = file.read()
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError('lists within lists without end') from error
