"""Files that must be there, and what an image's header says."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from ..errors import DatasetError, ImageFileError

__all__ = ['IMAGE_SUFFIXES', 'image_size', 'missing_files', 'require_images', 'size_of_encoded']

_ORIENTATION = 0x0112  # the EXIF tag
#: What counts as an image file in a folder.
IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'}


def missing_files(paths: Iterable[str | Path]) -> list[str]:
    """Return those paths that are no files, each once, in their order."""
    return [str(path) for path in dict.fromkeys(paths) if not Path(path).is_file()]


def require_images(paths: Sequence[str | Path], source: str, remedy: str) -> None:
    """Raise one error that lists every image that is not there.

    Args:
        paths: The image files.
        source: What names them: an annotation file, a folder.
        remedy: What to do about it.

    Raises:
        DatasetError: Some are missing: all of them are listed. If every one is, the folder is
            wrong, and a few examples say more than a list.
    """
    missing = missing_files(paths)
    if not missing:
        return
    count = len(dict.fromkeys(paths))
    listed = ', '.join(missing)
    if len(missing) == count and count > 10:
        listed = ', '.join(missing[:3]) + ', ...'
    raise DatasetError(
        f"{len(missing)} of the {count} images of '{source}' are not there: {listed}; {remedy}"
    )


def size_of_encoded(data: bytes) -> tuple[int, int]:
    """Read width and height from an image's header, turned as its EXIF orientation asks.

    OpenCV, and so mmcv, turns the image by that tag too.

    Args:
        data: Content of the file.

    Returns:
        Width and height, pixels.

    Raises:
        OSError: Not an image that Pillow knows.
    """
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def image_size(path: str | Path) -> tuple[int, int]:
    """Read an image file's width and height, pixels.

    Raises:
        ImageFileError: The file can't be read or is no image.
    """
    try:
        return size_of_encoded(Path(path).read_bytes())
    except (OSError, Image.DecompressionBombError) as error:
        raise ImageFileError(
            f"image file '{path}' cannot be read as an image ({error}): copy it again from its "
            'source, or take it out of the set'
        ) from error
