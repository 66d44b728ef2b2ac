"""Whole slides and large fields, read region by region; openslide is extra ``wsi``.

Nothing here loads torch: tiles are read in processes of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np

from ..errors import ImageFileError, InputError
from ..image_files import read_image
from ..optional import require

__all__ = ['Field', 'ImageField', 'SLIDE_SUFFIXES', 'Slide', 'is_slide', 'open_field', 'tissue_of']

#: Formats of slide scanners that openslide reads.
SLIDE_SUFFIXES = ('.svs', '.ndpi', '.mrxs', '.scn', '.vms', '.vmu', '.bif', '.svslide')
#: A TIFF with a longer side is read as a slide, region by region.
_LARGE_TIFF = 10_000
#: Most pixels of an overview that tissue is looked for in.
_OVERVIEW = 16_000_000
#: Saturation (of 255) from which a pixel may be tissue where no overview tells a better one.
_SATURATION = 15


class Field(Protocol):
    """An image that is read region by region.

    Attributes:
        size: Width and height, pixels.
        mpp: Micrometres a pixel, x and y; None where the file does not say.
        origin: Where the part that was scanned begins, pixels. It is the origin of programs that
            show that part alone, such as QuPath.
    """

    size: tuple[int, int]
    mpp: tuple[float, float] | None
    origin: tuple[int, int]

    def read(self, box: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """Read a region ``x1, y1, x2, y2``, resized to ``size`` (width, height): BGR."""
        ...

    def overview(self, longest: int) -> np.ndarray | None:
        """A small picture of the whole, BGR; None where there is none to be had cheaply."""
        ...


class ImageField:
    """An image file, read whole.

    Args:
        path: The file.

    Raises:
        ImageFileError: It can't be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.image = read_image(path)
        self.size: tuple[int, int] = (self.image.shape[1], self.image.shape[0])
        self.mpp: tuple[float, float] | None = None
        self.origin = (0, 0)

    def read(self, box: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """Read a region, resized to ``size``: BGR."""
        x1, y1, x2, y2 = box
        return _resized(self.image[y1:y2, x1:x2], size)

    def overview(self, longest: int) -> np.ndarray | None:
        """A small picture of the whole, BGR."""
        return _resized(self.image, _fitted(self.size, longest))


class Slide:
    """A slide, through openslide.

    Args:
        path: The file.

    Raises:
        ImageFileError: It can't be opened.
        InputError: openslide is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        openslide = require('openslide', 'tiles,wsi', f"Slide '{path}'")
        self.path = str(path)
        if not Path(path).is_file():
            raise ImageFileError(f"slide '{path}' does not exist: check the path")
        try:
            self._slide: Any = openslide.OpenSlide(self.path)
        except openslide.OpenSlideError as error:
            raise ImageFileError(
                f"slide '{path}' cannot be opened ({error}): {_remedy(Path(path))}"
            ) from error
        self.size: tuple[int, int] = self._slide.dimensions
        self.mpp = self._resolution()
        self.origin = self._origin()

    def _resolution(self) -> tuple[float, float] | None:
        properties = self._slide.properties
        try:
            found = tuple(float(properties[f'openslide.mpp-{axis}']) for axis in 'xy')
        except (KeyError, ValueError):
            return None
        return (found[0], found[1]) if min(found) > 0 else None

    def _origin(self) -> tuple[int, int]:
        x, y = (self._slide.properties.get(f'openslide.bounds-{axis}', '0') for axis in 'xy')
        return int(x), int(y)

    def read(self, box: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """Read a region from the level that is just fine enough, resized to ``size``: BGR."""
        x1, y1, x2, y2 = (int(value) for value in box)
        wanted = min((x2 - x1) / size[0], (y2 - y1) / size[1])
        level = self._slide.get_best_level_for_downsample(max(wanted, 1.0) * 1.001)
        down = self._slide.level_downsamples[level]
        extent = (max(round((x2 - x1) / down), 1), max(round((y2 - y1) / down), 1))
        return _resized(self._region((x1, y1), level, extent), size)

    def _region(self, start: tuple[int, int], level: int, extent: tuple[int, int]) -> np.ndarray:
        """Read a region of a level, in pixels of that level; it starts in those of the largest."""
        try:
            region = self._slide.read_region(start, level, extent)
        except Exception as error:  # openslide's own, and those of its C library
            raise ImageFileError(
                f"slide '{self.path}' cannot be read at {start[0]}, {start[1]} ({error}): copy it "
                'again from its source'
            ) from error
        return _on_white(np.asarray(region))

    def overview(self, longest: int) -> np.ndarray | None:
        """A small picture of the whole, BGR; None where the slide has no small level.

        It is no larger than the smallest level: a finer one may not fit into memory.
        """
        extent = self._slide.level_dimensions[-1]
        if extent[0] * extent[1] > _OVERVIEW:
            return None
        smallest = self._region((0, 0), self._slide.level_count - 1, extent)
        return _resized(smallest, _fitted(extent, longest))


def is_slide(path: str | Path) -> bool:
    """Tell whether a file is read as a slide: by its name, or a TIFF of more than 10,000 px."""
    suffix = Path(path).suffix.lower()
    if suffix in SLIDE_SUFFIXES:
        return True
    return suffix in ('.tif', '.tiff') and max(_tiff_size(path)) > _LARGE_TIFF


def open_field(path: str | Path) -> Field:
    """Open an image or a slide."""
    return Slide(path) if is_slide(path) else ImageField(path)


def tissue_of(image: np.ndarray, threshold: int = _SATURATION) -> np.ndarray:
    """Find what is not empty glass: stained, hence of some colour.

    Args:
        image: BGR, shape ``(H, W, 3)``, ``uint8``.
        threshold: Saturation (of 255) from which a pixel counts.

    Returns:
        Mask, shape ``(H, W)``.
    """
    if image.min() == 255:  # most of a slide: glass that was never scanned
        return np.zeros(image.shape[:2], bool)
    saturation = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)[..., 1]
    # black has any saturation: the edge of a scan is no tissue
    return (saturation >= threshold) & (image.max(-1) > 30)


def tissue_tiles(overview: np.ndarray, size: tuple[int, int], tiles: np.ndarray) -> np.ndarray:
    """Tell which tiles hold tissue, by an overview of the slide.

    Args:
        overview: BGR, of the whole slide.
        size: Width and height of the slide, pixels.
        tiles: ``x1, y1, x2, y2``, shape ``(n, 4)``, pixels of the slide.

    Returns:
        Mask, shape ``(n,)``.
    """
    smooth = cv2.medianBlur(overview, 3)
    saturation = cv2.cvtColor(smooth, cv2.COLOR_BGR2HSV)[..., 1]
    otsu, _ = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask = tissue_of(smooth, int(np.clip(otsu / 2, _SATURATION / 2, 2 * _SATURATION)))
    mask = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    sums = cv2.integral(mask)
    scale = np.array([mask.shape[1] / size[0], mask.shape[0] / size[1]] * 2)
    x1, y1 = np.floor(tiles[:, :2] * scale[:2]).astype(int).T
    x2, y2 = np.ceil(tiles[:, 2:] * scale[2:]).astype(int).T
    x2, y2 = np.minimum(x2, mask.shape[1]), np.minimum(y2, mask.shape[0])
    return sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1] > 0


def _remedy(path: Path) -> str:
    """Say what to do about a slide that can't be opened."""
    if path.suffix.lower() == '.mrxs':
        return (
            f"a MIRAX slide is a file '{path.stem}.mrxs', so spelt, and a folder '{path.stem}' "
            'beside it: copy both again from their source'
        )
    return (
        'copy it again from its source, or give a format that openslide reads, such as a tiled TIFF'
    )


def _tiff_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a TIFF, from its header; 0, 0 where there is none."""
    tags = dict(_tiff_tags(Path(path)))
    return tags.get(256, 0), tags.get(257, 0)


def _tiff_tags(path: Path) -> Iterator[tuple[int, int]]:
    """Yield the whole numbers of a TIFF's first directory, by tag; BigTIFF as well."""
    try:
        with path.open('rb') as file:
            head = file.read(16)
            if head[:4] not in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'):
                return
            order: Literal['little', 'big'] = 'little' if head[:2] == b'II' else 'big'
            big = b'+' in head[:4]
            wide = 8 if big else 4
            file.seek(int.from_bytes(head[8:16] if big else head[4:8], order))
            count = int.from_bytes(file.read(8 if big else 2), order)
            for _ in range(min(count, 500)):
                entry = file.read(12 if not big else 20)
                kind = int.from_bytes(entry[2:4], order)
                bytes_of = {3: 2, 4: 4, 16: 8}.get(kind)
                if bytes_of:
                    start = 4 + wide
                    yield (
                        int.from_bytes(entry[:2], order),
                        int.from_bytes(entry[start : start + bytes_of], order),
                    )
    except OSError:
        return


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """Turn RGBA into BGR; a slide is transparent where no picture was taken: white, as glass."""
    alpha = pixels[..., 3]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[..., 2::-1])
    if alpha.max() == 0:
        return np.full((*alpha.shape, 3), 255, np.uint8)
    part = alpha[..., None].astype(np.float32) / 255
    return np.rint(pixels[..., 2::-1] * part + 255 * (1 - part)).astype(np.uint8)


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    factor = min(longest / max(size), 1.0)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize as the pipeline does where it grows, by area where it shrinks."""
    if (image.shape[1], image.shape[0]) == tuple(size):
        return image
    shrinks = image.shape[1] > size[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def require_mpp(field: Field, path: str | Path, mpp: float | None) -> tuple[float, float] | None:
    """Give the resolution of a field: what the user says, before what the file says.

    Raises:
        InputError: A slide's file does not say it, and neither does the user.
    """
    if mpp is not None:
        return (mpp, mpp)
    if field.mpp is None and isinstance(field, Slide):
        raise InputError(
            f"slide '{path}' does not say how many micrometres a pixel has: give it, as in "
            '--mpp 0.25'
        )
    return field.mpp
