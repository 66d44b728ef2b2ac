"""Files that must be there, under the name given or a near one, and what an image's header says."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote

import cv2
import numpy as np
from PIL import Image

from ..errors import DatasetError, ImageFileError
from ..regular_files import open_regular, read_text

__all__ = [
    'IMAGE_SUFFIXES',
    'FoundImages',
    'ImageHeader',
    'encoded_header',
    'find_images',
    'frame_fault',
    'image_header',
    'image_size',
    'is_dim',
    'missing_files',
    'open_regular',
    'path_inside',
    'read_text',
    'reading_notes',
    'require_images',
    'size_of_encoded',
]

#: What counts as an image file in a folder.
IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'}

_ORIENTATION, _BITS = 0x0112, 0x0102  # tags of EXIF and of TIFF
_SAME_SUFFIX = {'.jpeg': '.jpg', '.jpe': '.jpg', '.tiff': '.tif'}
_MOST_LISTED = 2_000_000  # entries of a folder that are searched for near names


def path_inside(folder: str | Path, name: str) -> Path:
    """Join a folder and a name that a file gives; the result lies in the folder.

    Raises:
        DatasetError: The name is absolute, climbs out of the folder by ``..``, or has a character
            that no file name should have.
    """
    plain = str(name).replace('\\', '/')
    parts = PurePosixPath(plain).parts
    if plain.startswith('/') or re.match(r'[A-Za-z]:', plain) or '..' in parts or not parts:
        raise DatasetError(
            f"the name {name!r} leads out of '{folder}': nothing is written there; give the record "
            'a name relative to its folder'
        )
    if any(unicodedata.category(c) == 'Cc' for c in plain):
        raise DatasetError(
            f'the name {name!r} has a line break or another control character: rename it'
        )
    return Path(folder) / name


def missing_files(paths: Iterable[str | Path]) -> list[str]:
    """Return those paths that are no files, each once, in their order."""
    return [str(path) for path in dict.fromkeys(paths) if not _is_file(path)]


def _is_file(path: str | Path) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero
        return False


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
    if missing:
        raise DatasetError(_missing_images(missing, len(dict.fromkeys(paths)), source, remedy))


def _missing_images(missing: Sequence[str], count: int, source: str, remedy: str) -> str:
    listed = ', '.join(missing)
    if len(missing) == count and count > 10:
        listed = ', '.join(missing[:3]) + ', ...'
    return f"{len(missing)} of the {count} images of '{source}' are not there: {listed}; {remedy}"


@dataclass
class FoundImages:
    """Where the images of a set lie.

    Attributes:
        paths: The file of each name that was found.
        near: ``{name: file}`` of those found under a near name alone.
        missing: Names that were not found.
        hints: ``{name: file}`` for missing ones: a file of the same last name, or but for its
            suffix, which may or may not be meant.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    near: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    hints: dict[str, Path] = field(default_factory=dict)

    def require(self, folder: str | Path, source: str, remedy: str) -> None:
        """Raise one error that lists the missing images, with what they may mean.

        Raises:
            DatasetError: Some are missing.
        """
        if not self.missing:
            return
        listed = [os.path.join(folder, name) for name in self.missing]
        count = len(self.paths) + len(self.missing)
        if self.hints:
            name, path = next(iter(self.hints.items()))
            remedy += f"; '{path}' is there: if '{name}' means it, mend the record's file_name"
        raise DatasetError(_missing_images(listed, count, source, remedy))

    @property
    def note(self) -> str:
        """Say how many were found under a near name; empty if none was."""
        if not self.near:
            return ''
        name, path = next(iter(self.near.items()))
        return f"{len(self.near)} images lie there under a near name, as '{path}' for '{name}'"


def find_images(folder: str | Path, names: Iterable[str]) -> FoundImages:
    r"""Find images by the names that a file gives, exact or near.

    Near is a name that differs in ``\`` for ``/``, in ``%20`` for a blank, in case, in the Unicode
    form of its accents, or as ``.jpeg`` from ``.jpg``, and that only one file has.

    Args:
        folder: Where the names begin.
        names: File names, with the folders below.
    """
    found = FoundImages()
    lost = []
    for name in dict.fromkeys(names):
        path = Path(folder) / name
        if _is_file(path):
            found.paths[name] = path
        else:
            lost.append(name)
    if not lost:
        return found
    by_name, by_last, by_stem = _list_folder(Path(folder))
    for name in lost:
        key = _plain_name(name)
        alike = by_name.get(key, [])
        if len(alike) == 1:
            found.paths[name] = found.near[name] = alike[0]
            continue
        found.missing.append(name)
        last = PurePosixPath(key).name
        hints = alike or by_last.get(last) or by_stem.get(PurePosixPath(last).stem) or ()
        if hints:
            found.hints[name] = hints[0]
    return found


_Listing = dict[str, list[Path]]


def _list_folder(folder: Path) -> tuple[_Listing, _Listing, _Listing]:
    """List the files of a folder by plain name, plain last name, and the latter without suffix."""
    by_name: _Listing = defaultdict(list)
    by_last: _Listing = defaultdict(list)
    by_stem: _Listing = defaultdict(list)
    count = 0
    for root, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = Path(root) / file
            key = _plain_name(path.relative_to(folder).as_posix())
            last = PurePosixPath(key).name
            by_name[key].append(path)
            by_last[last].append(path)
            by_stem[PurePosixPath(last).stem].append(path)
        count += len(files)
        if count > _MOST_LISTED:
            break
    return by_name, by_last, by_stem


def _plain_name(name: str) -> str:
    """Write a name in the one form that all near names share."""
    plain = unicodedata.normalize('NFC', unquote(name)).casefold().replace('\\', '/')
    path = PurePosixPath(plain)
    path = path.with_suffix(_SAME_SUFFIX.get(path.suffix, path.suffix)) if path.name else path
    return str(path)


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file tells, in the upright frame that OpenCV decodes to.

    Attributes:
        width: Pixels.
        height: Pixels.
        turned: Whether its orientation tag exchanges width and height.
        tagged: Whether it has an orientation tag that asks for turning or mirroring.
        pages: Pictures in the file: focal planes, series, frames. Only the first one is read.
        bits: Bits of a value.
    """

    width: int
    height: int
    turned: bool = False
    tagged: bool = False
    pages: int = 1
    bits: int = 8

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.width, self.height


def encoded_header(data: bytes) -> ImageHeader:
    """Read an image's header; the one place that knows its size in the upright frame.

    Pillow turns TIFF files by their orientation tag and others not, OpenCV differs by format and
    version: of a tagged file that is no JPEG, OpenCV is asked itself.

    Args:
        data: Content of the file.

    Raises:
        OSError: Not an image that Pillow knows.
    """
    with _open_header(io.BytesIO(data)) as image:
        return _header(image, data[:32], lambda: data)


def image_header(path: str | Path) -> ImageHeader:
    """Read an image file's header, see :func:`encoded_header`.

    Raises:
        ImageFileError: The file can't be read or is no image.
    """
    try:
        with open_regular(path) as file, _open_header(file) as image:
            start = _start(file)
            return _header(image, start, lambda: Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageFileError(
            f"image file '{path}' cannot be read as an image "
            f'({getattr(error, "strerror", None) or error}): copy it again from its source, or '
            'take it out of the set'
        ) from error


def size_of_encoded(data: bytes) -> tuple[int, int]:
    """Read width and height in pixels from an encoded image, see :func:`encoded_header`."""
    return encoded_header(data).size


def image_size(path: str | Path) -> tuple[int, int]:
    """Read an image file's width and height in pixels, see :func:`image_header`."""
    return image_header(path).size


@contextmanager
def _open_header(file: IO[bytes]) -> Any:
    """Open an image; its size alone is no bomb, since nothing is decoded."""
    try:
        image: Image.Image = Image.open(file)
    except Image.DecompressionBombError:
        image = _open_huge(file)
    with image:
        yield image


def _open_huge(file: IO[bytes]) -> Image.Image:
    """Open an image of any size by Pillow's own readers, which read headers only."""
    file.seek(0)
    start = file.read(16)
    for name in Image.ID:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(start) is True:
            file.seek(0)
            return factory(file, '')
    raise OSError('no image that Pillow knows')


def _start(file: IO[bytes]) -> bytes:
    place = file.tell()
    file.seek(0)
    start = file.read(32)
    file.seek(place)
    return start


def _header(image: Image.Image, start: bytes, read: Callable[[], bytes]) -> ImageHeader:
    width, height = image.size
    orientation = image.getexif().get(_ORIENTATION, 1)
    tagged = isinstance(orientation, int) and 2 <= orientation <= 8
    if tagged and image.format == 'JPEG':
        width, height = (height, width) if orientation >= 5 else (width, height)
    elif tagged and width != height:
        picture = _decode(read())
        if picture is not None and (picture.shape[1] > picture.shape[0]) != (width > height):
            width, height = height, width
    tag = image.tag_v2.get(_BITS, (8,)) if hasattr(image, 'tag_v2') else (8,)
    bits = max(tag) if isinstance(tag, tuple) else int(tag)
    bits = max(bits, {'I;16': 16, 'I;16B': 16, 'I': 16, 'F': 32}.get(image.mode, 8))
    if image.format == 'PNG':
        bits = max(8, start[24])  # Pillow gives colours of 16 bits as 8
    return ImageHeader(
        width,
        height,
        tagged and orientation >= 5,
        tagged,
        int(getattr(image, 'n_frames', 1)),
        bits,
    )


def _decode(data: bytes) -> np.ndarray | None:
    """Decode a picture as the loader does."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None


def is_dim(data: bytes) -> bool:
    """Tell whether an image of 16 bits uses 12 of them or fewer, so that OpenCV reads it black.

    Args:
        data: Content of the file.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return picture is not None and picture.dtype == np.uint16 and int(picture.max()) < 4096


def reading_notes(path: str | Path, header: ImageHeader, decode: bool = True) -> list[str]:
    """Say in what an image file holds more than is read of it.

    Args:
        path: The file.
        header: What its header says.
        decode: Whether an image of more than 8 bits is decoded, to see how many of them it uses.
    """
    notes = []
    if header.pages > 1:
        notes.append('of several pages, of which only the first is read')
    if header.bits > 8 and decode and is_dim(Path(path).read_bytes()):
        notes.append('of 16 bits that use 12 or fewer, and so are read nearly black')
    return notes


def frame_fault(recorded: tuple[float, float], header: ImageHeader) -> str | None:
    """Say in which way an image and its record are not of one frame; None if they are.

    Args:
        recorded: Width and height that the annotation file gives, pixels; the boxes' frame.
        header: What the image file says.
    """
    width, height = recorded
    # rounding
    if abs(width - header.width) <= 1 and abs(height - header.height) <= 1:
        return None
    if abs(height - header.width) <= 1 and abs(width - header.height) <= 1:
        if header.turned:
            return (
                'width and height are exchanged: the orientation tag (EXIF) of the file turns the '
                'picture, and the boxes seem to be of the unturned one'
            )
        return 'width and height are exchanged'
    scale = header.width / width
    if abs(header.height - scale * height) <= max(2, 0.01 * header.height):
        return f'the file is {scale:.3g} times as large: a copy of another size, or a thumbnail'
    return 'it is another picture, or a part of it'
