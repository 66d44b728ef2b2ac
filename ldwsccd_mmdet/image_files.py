"""Image files as training and inference both read them, with numpy and OpenCV alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .errors import ImageFileError

__all__ = ['check_image_file', 'decode_image', 'is_complete', 'read_image']

_JPEG, _JPEG_SCAN, _JPEG_END = b'\xff\xd8\xff', b'\xff\xda', b'\xff\xd9'
_PNG, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'
_LFS_POINTER = b'version https://git-lfs'
_REMEDY = 'copy it again from its source, or take it out of the annotation file'


def is_complete(data: bytes) -> bool:
    """Tell whether an encoded image reaches its end, without decoding it.

    JPEG: an end-of-image marker after the last scan (inside a scan neither marker can occur, and
    a preview in the header has its own, earlier ones). PNG: the IEND chunk. WebP: the length in its
    header. Other formats count as complete: OpenCV itself refuses them if they are cut short.

    Args:
        data: The content of the file.
    """
    if data.startswith(_JPEG):
        # the second test is for bytes after the end, as some cameras and scanners leave there
        return data.endswith(_JPEG_END) or data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN)
    if data.startswith(_PNG):
        return data.endswith(_PNG_END) or _PNG_END in data
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return len(data) >= int.from_bytes(data[4:8], 'little') + 8
    return True


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
