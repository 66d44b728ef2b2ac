"""Image files as training and inference both read them, with numpy and OpenCV alone."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from .errors import ImageFileError

__all__ = ['check_image_file', 'decode_image', 'is_complete', 'read_image']

_JPEG, _JPEG_END = b'\xff\xd8\xff', b'\xff\xd9'
_AFTER_SCAN = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]', re.DOTALL)
_PNG, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'
_LFS_POINTER = b'version https://git-lfs'
_REMEDY = 'copy it again from its source, or take it out of the annotation file'


def is_complete(data: bytes) -> bool:
    """Tell whether an encoded image reaches its end, without decoding it.

    JPEG: the end-of-image marker of the first picture, found from segment to segment, so that
    neither a preview in the header nor bytes after the end count. PNG: the IEND chunk.
    WebP: the length in its header. Other formats count as complete: OpenCV itself refuses them if
    they are cut short.

    Args:
        data: The content of the file.
    """
    if data.startswith(_JPEG):
        return _jpeg_end(data) is not None
    if data.startswith(_PNG):
        return data.endswith(_PNG_END) or _PNG_END in data
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return len(data) >= int.from_bytes(data[4:8], 'little') + 8
    return True


def _jpeg_end(data: bytes) -> int | None:
    """Find the end-of-image marker of the first picture of a JPEG; None if there is none."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return None
        kind = data[place + 1]
        if kind == 0xFF:  # fill
            place += 1
            continue
        if 0xD0 <= kind <= 0xD8 or kind == 1:  # markers that stand alone
            place += 2
            continue
        if kind == 0xD9:
            return place
        place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
        if kind == 0xDA:  # in a scan FF is followed by 00 or a restart marker
            found = _AFTER_SCAN.search(data, place)
            if found is None:
                return None
            place = found.start()
    return place if data[place : place + 2] == _JPEG_END else None


def check_complete(data: bytes, path: str) -> None:
    """Raise where an encoded image is cut short.

    Raises:
        ImageFileError: It is; OpenCV would fill what is missing with grey.
    """
    if not is_complete(data):
        raise ImageFileError(
            f"image file '{path}' is cut short ({len(data)} bytes, its end is missing): {_REMEDY}"
        )


def decode_image(data: bytes, path: str) -> np.ndarray:
    """Decode an image file's content as mmdet's ``LoadImageFromFile`` does.

    Turned as EXIF says, 16 bits brought to 8 (by 256), grey and palette to colour, alpha left out.

    Args:
        data: The content of the file.
        path: The file, for messages.

    Returns:
        BGR, shape ``(H, W, 3)``, ``uint8``.

    Raises:
        ImageFileError: The file is cut short, or is no image.
    """
    check_complete(data, path)
    image = None
    if data:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
    if image is None:
        what = 'a Git LFS pointer, ' if data.startswith(_LFS_POINTER) else ''
        raise ImageFileError(
            f"image file '{path}' ({what}{len(data)} bytes) is not an image that can be decoded: "
            f'{_REMEDY}'
        )
    return image


def read_image(path: str | Path) -> np.ndarray:
    """Read an image of a local disk as training saw it; see :func:`decode_image`.

    Returns:
        BGR, shape ``(H, W, 3)``, ``uint8``.

    Raises:
        ImageFileError: The file is missing, cut short, or not an image.
    """
    return decode_image(_read(path), str(path))


def check_image_file(path: str | Path) -> None:
    """Raise one error if an image file of a local disk can't be used.

    Raises:
        ImageFileError: The file is missing, cut short, or not an image.
    """
    read_image(path)


def _read(path: str | Path) -> bytes:
    if not Path(path).is_file():
        reason = 'it is no file' if Path(path).exists() else 'No such file or directory'
    else:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
    raise ImageFileError(
        f"image file '{path}' cannot be read ({reason}): put it there, mend data_root and "
        'data_prefix.img in the config, or take it out of the annotation file'
    )
