"""Which images a command line means."""

from __future__ import annotations

import configparser
import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..datasets.files import missing_files
from ..errors import DatasetError, InputError
from ..regular_files import read_json, read_text
from .slides import SLIDE_SUFFIXES

__all__ = ['IMAGE_SUFFIXES', 'Source', 'find_sources', 'images_beside']

IMAGE_SUFFIXES = tuple('.jpg .jpeg .png .bmp .tif .tiff .webp .gif .ppm .pgm .jp2'.split())
#: Of files that name the files of a slide, as an INI file does.
_INDEX_SUFFIXES = ('.vms', '.vmu')


@dataclass(frozen=True)
class Source:
    """An image to predict on.

    Attributes:
        path: Its file.
        name: Its name in the results: the path below the folder that all images share, with ``/``.
    """

    path: Path
    name: str


def find_sources(inputs: Sequence[str | Path]) -> list[Source]:
    """Find the images of files, folders (all below them) and patterns, sorted by name.

    Args:
        inputs: Files, folders, or patterns such as ``'slides/*.svs'``.

    Raises:
        InputError: One of them names no image.
    """
    files: set[Path] = set()
    for given in map(str, inputs):
        files |= _files_of(given)
    paths = sorted(path.absolute() for path in files)
    base = Path(os.path.commonpath([path.parent for path in paths]))
    return [Source(path, path.relative_to(base).as_posix()) for path in paths]


def _files_of(given: str) -> set[Path]:
    path = Path(given).expanduser()
    known = (*IMAGE_SUFFIXES, *SLIDE_SUFFIXES)
    if path.is_file():
        if path.suffix.lower() not in known:
            raise InputError(
                f"'{given}' is no image: expected a name that ends in {', '.join(known)}"
            )
        return {path}
    if path.is_dir():
        # a link to nothing is an image that can't be read, and is said to be
        inside = [file for file in path.rglob('*') if file.is_file() or file.is_symlink()]
        for index in [file for file in inside if file.suffix.lower() in _INDEX_SUFFIXES]:
            parts = _parts_of(index)
            inside = [file for file in inside if file not in parts]
    else:
        inside = [Path(file) for file in glob.glob(str(path), recursive=True)]
        if not inside:
            what = 'no file matches it' if glob.has_magic(given) else 'there is no such file'
            raise InputError(f"no image found at '{given}' ({what}): check the path")
    found = {
        file for file in inside if file.suffix.lower() in known and not file.name.startswith('.')
    }
    if not found:
        seen = sorted({file.suffix.lower() or 'no suffix' for file in inside})
        has = f'{len(inside)} files there end in {", ".join(seen[:5])}' if inside else 'it is empty'
        raise InputError(
            f"no image found in '{given}' ({has}): expected names that end in {', '.join(known)}"
        )
    return found


def _parts_of(index: Path) -> set[Path]:
    """The files beside an index that hold its slide: its pictures are no images of their own."""
    lines = configparser.RawConfigParser(strict=False, interpolation=None, allow_no_value=True)
    try:
        lines.read_string(read_text(index))
    except (DatasetError, configparser.Error):
        return set()  # openslide says what is wrong with it
    return {
        index.parent / value
        for section in lines.sections()
        for value in lines[section].values()
        if value
    }


def images_beside(ann_file: Path, flag: str) -> Path:
    """Find the folder of an annotation file's images: beside it, or one folder down.

    Args:
        ann_file: COCO json.
        flag: The option that names it, for messages; ``FLAG-images`` names the folder.

    Raises:
        DatasetError: The file can't be read, or its first image is in none of these.
    """
    try:
        first = read_json(ann_file)['images'][0]['file_name']
        if not isinstance(first, str):
            raise TypeError(f'the file_name {first!r}')
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DatasetError(f"{flag}: '{ann_file}' cannot be read as COCO json ({error})") from error
    folders = [ann_file.parent, *sorted(f for f in ann_file.parent.iterdir() if f.is_dir())]
    for folder in folders:
        if not missing_files([folder / first]):
            return folder
    looked = ', '.join(str(folder) for folder in folders[:5])
    raise DatasetError(
        f"{flag}: '{first}' is in none of {looked}: name its folder with {flag}-images"
    )
