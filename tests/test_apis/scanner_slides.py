"""Slides as scanners write them, small: Aperio's .svs, Hamamatsu's .ndpi, and MIRAX's .mrxs.

After https://openslide.org/formats/, with what marks each format: tiles of JPEG and a stripped
thumbnail; whole JPEGs with restart markers behind offsets of 64 bits; overlapping photos, of which
some were never taken.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

#: Number, type and value of a tag of TIFF.
_Tag = tuple[int, str, Any]
#: Width and height that all three formats can have.
SIZE = (736, 496)


def write_svs(path: Path, image: np.ndarray, mpp: float) -> Path:
    """Write a BGR image as Aperio does: level 0, thumbnail, level 1."""
    height, width = image.shape[:2]
    about = (
        f'Aperio Image Library v11.2.1 \r\n{width}x{height} [0,0 {width}x{height}] (240x240) '
        f'JPEG/RGB Q=95|AppMag = 40|StripeWidth = 2040|ScanScope ID = SS1302|MPP = {mpp:.4f}\0'
    )
    side = 240
    tiff = _Tiff(path)
    for picture, tiled in ((image, True), (_half(image, 2), False), (_half(image, 1), True)):
        jpegs = [_jpeg(part) for part in (_tiles(picture, side) if tiled else [picture])]
        starts, lengths = [tiff.add(jpeg) for jpeg in jpegs], [len(jpeg) for jpeg in jpegs]
        tags = _picture_tags(picture) + [(270, 's', about.encode()), (530, 'H', [2, 2])]
        if tiled:
            tags += [(322, 'L', side), (323, 'L', side), (324, 'L', starts), (325, 'L', lengths)]
        else:
            tags += [(273, 'L', starts), (278, 'L', picture.shape[0]), (279, 'L', lengths)]
        tiff.add_directory(tags)
    tiff.close()
    return path


def write_ndpi(path: Path, image: np.ndarray, mpp: float) -> Path:
    """Write a BGR image as Hamamatsu does: three levels and the picture of the whole glass."""
    levels = [(_half(image, level), 40 / 2**level, 1e4 / mpp / 2**level) for level in range(3)]
    tiff = _Tiff(path, ndpi=True)
    for picture, lens, per_cm in [*levels, (_half(image, 3), -1.0, 10.0)]:
        rows, columns = picture.shape[:2]
        # tiles of half a row of blocks, each behind a marker; the smallest level has none
        marked = lens > 0 and rows % 8 == columns % 16 == 0
        jpeg = _jpeg(picture, subsampled=False, interval=columns // 16 if marked else 0)
        tags = _picture_tags(picture) + [
            (271, 's', b'Hamamatsu\0'),
            (272, 's', b'C13210\0'),
            (305, 's', b'NDP.scan\0'),
            (273, 'L', tiff.add(jpeg)),
            (278, 'L', rows),
            (279, 'L', len(jpeg)),
            (282, 'r', per_cm),
            (283, 'r', per_cm),
            (296, 'H', 3),
            (65420, 'L', 1),  # the format
            (65421, 'f', lens),
            (65422, 'l', -1_200_000),  # nm from the middle of the glass
            (65423, 'l', 3_400_000),
            (65424, 'l', 0),  # the focal plane
        ]
        if marked:
            tags.append((65426, 'L', _restarts(jpeg)))
        tiff.add_directory(tags)
    tiff.close()
    return path


def _picture_tags(image: np.ndarray) -> list[_Tag]:
    """What TIFF says of a JPEG: width, height, bits, compression, YCbCr, channels."""
    rows, columns = image.shape[:2]
    return [
        (256, 'L', columns),
        (257, 'L', rows),
        (258, 'H', [8, 8, 8]),
        (259, 'H', 7),
        (262, 'H', 6),
        (277, 'H', 3),
    ]


class _Tiff:
    """A TIFF of directories behind each other.

    Hamamatsu's has the tags of 32 bits, too, but its directories are linked by 64, and the upper
    halves of the values follow each directory.
    """

    TYPES = {'s': 2, 'H': 3, 'L': 4, 'r': 5, 'l': 9, 'f': 11}

    def __init__(self, path: Path, ndpi: bool = False) -> None:
        self.ndpi = ndpi
        self.link = 4  # where the place of the next directory is written
        self.file = path.open('wb')
        self.file.write(struct.pack('<2sHQ', b'II', 42, 0))

    def add(self, data: bytes) -> int:
        """Write data; returns where."""
        place = self.file.tell()
        self.file.write(data)
        return place

    def add_directory(self, tags: Sequence[_Tag]) -> None:
        entries = []
        for number, kind, value in sorted(tags, key=itemgetter(0)):
            if isinstance(value, bytes):
                data, count = value, len(value)
            elif kind == 'r':
                data, count = struct.pack('<2L', round(value * 100), 100), 1
            else:
                values = value if isinstance(value, list) else [value]
                data, count = struct.pack(f'<{len(values)}{kind}', *values), len(values)
            if len(data) > 4:
                data = struct.pack('<L', self.add(data))
            entries.append(struct.pack('<HHL4s', number, self.TYPES[kind], count, data))
        place = self.add(struct.pack('<H', len(entries)) + b''.join(entries))
        following = self.add(struct.pack('<Q', 0))
        if self.ndpi:
            self.add(b'\0\0\0\0' * len(entries))
        self.file.seek(self.link)
        self.file.write(struct.pack('<Q' if self.ndpi else '<L', place))
        self.file.seek(0, 2)
        self.link = following

    def close(self) -> None:
        self.file.close()


class _Record(NamedTuple):
    """A piece of a data file: of an image also its number."""

    number: int
    start: int
    length: int


def write_mrxs(
    path: Path, image: np.ndarray, mpp: float, absent: Collection[tuple[int, int]] = ()
) -> Path:
    """Write a BGR image as a MIRAX slide of three levels; its files lie in a folder beside it.

    Photos of 256 px share 16 px with the next, and lie up to 3 px beside where they should. Each is
    kept as four images. Images of the upper levels are made of photos side by side, as if they did
    not overlap.

    Args:
        path: The file.
        image: Its pixels; 256 px and a multiple of 240 px high and wide.
        mpp: Micrometres a pixel.
        absent: Row and column of photos that were not taken.
    """
    side, photo, overlap, levels = 128, 256, 16, 3
    down, across = ((length - overlap) // (photo - overlap) for length in image.shape[:2])
    assert image.shape[:2] == tuple(n * (photo - overlap) + overlap for n in (down, across))
    rng = np.random.default_rng(0)
    beside = np.full((down * photo, across * photo, 3), 255, np.uint8)
    taken = np.zeros((down, across), bool)
    positions = b''
    for row in range(down):
        for column in range(across):
            place = np.array([column, row]) * (photo - overlap) + rng.integers(-3, 4, 2)
            x, y = np.clip(place, 0, np.array(image.shape[1::-1]) - photo).tolist()
            taken[row, column] = (row, column) not in absent
            positions += struct.pack('<bii', 1, x, y)
            if taken[row, column]:
                to = slice(row * photo, (row + 1) * photo), slice(column * photo, None)
                beside[to][:, :photo] = image[y : y + photo, x : x + photo]
    folder = path.with_suffix('')
    folder.mkdir()
    path.write_bytes(b'')
    data = positions
    records = []
    for level in range(levels):
        found = []
        step = 2**level
        for number, part in enumerate(_tiles(_half(beside, level), side)):
            row, column = divmod(number, -(-2 * across // step))
            first, last = np.array([row, column]) * step // 2, (np.array([row, column]) + 1) * step
            to = tuple(slice(a, -(-b // 2)) for a, b in zip(first, last, strict=True))
            if not taken[to].any():
                continue
            jpeg = _jpeg(part)
            found.append(_Record(row * step * 2 * across + column * step, len(data), len(jpeg)))
            data += jpeg
        records.append(found)
    (folder / 'Data0000.dat').write_bytes(data)
    slide = '0123456789ABCDEF0123456789ABCDEF'
    (folder / 'Index.dat').write_bytes(_mirax_index(slide, records, len(positions)))
    text = _mirax_description(slide, (2 * across, 2 * down), side, overlap, mpp, levels)
    (folder / 'Slidedat.ini').write_text(text, encoding='utf-8-sig', newline='\r\n')
    return path


def _mirax_index(slide: str, levels: Sequence[Sequence[_Record]], positions: int) -> bytes:
    """Index.dat: for each level, and for the positions, a list of where things are."""
    head = f'01.02{slide}'.encode()
    tables = len(head) + 8
    body = b''
    pointers = []
    pages = [[(*record, 0) for record in level] for level in levels]
    for page in [*pages, None]:
        place = tables + 4 * (len(levels) + 1) + len(body)
        pointers.append(place)
        # the first page of a list is empty, and points to the second
        body += struct.pack('<ii', 0, place + 8)
        if page is None:
            body += struct.pack('<ii', 1, 0) + struct.pack('<iiiii', 0, 0, 0, positions, 0)
        else:
            body += struct.pack('<ii', len(page), 0)
            body += b''.join(struct.pack('<iiii', *item) for item in page)
    table = struct.pack(f'<{len(pointers)}i', *pointers)
    return head + struct.pack('<ii', tables, tables + 4 * len(levels)) + table + body


def _mirax_description(
    slide: str, images: tuple[int, int], side: int, overlap: int, mpp: float, levels: int
) -> str:
    """Slidedat.ini."""
    sections = {
        'GENERAL': {
            'SLIDE_VERSION': '01.02',
            'SLIDE_ID': slide,
            'IMAGENUMBER_X': images[0],
            'IMAGENUMBER_Y': images[1],
            'OBJECTIVE_MAGNIFICATION': 40,
            'CameraImageDivisionsPerSide': 2,
        },
        'HIERARCHICAL': {
            'INDEXFILE': 'Index.dat',
            'HIER_COUNT': 1,
            'HIER_0_NAME': 'Slide zoom level',
            'HIER_0_COUNT': levels,
            **{f'HIER_0_VAL_{level}_SECTION': f'LAYER_0_LEVEL_{level}' for level in range(levels)},
            'NONHIER_COUNT': 1,
            'NONHIER_0_NAME': 'VIMSLIDE_POSITION_BUFFER',
            'NONHIER_0_COUNT': 1,
            'NONHIER_0_VAL_0': 'default',
            'NONHIER_0_VAL_0_SECTION': 'NONHIERLAYER_0_SECTION',
        },
        'NONHIERLAYER_0_SECTION': {'VIMSLIDE_POSITION_DATA_FORMAT_VERSION': 257},
        'DATAFILE': {'FILE_COUNT': 1, 'FILE_0': 'Data0000.dat'},
    }
    for level in range(levels):
        sections[f'LAYER_0_LEVEL_{level}'] = {
            'OVERLAP_X': overlap / 2**level,
            'OVERLAP_Y': overlap / 2**level,
            'MICROMETER_PER_PIXEL_X': mpp * 2**level,
            'MICROMETER_PER_PIXEL_Y': mpp * 2**level,
            'IMAGE_FORMAT': 'JPEG',
            'IMAGE_FILL_COLOR_BGR': 0xFFFFFF,
            'DIGITIZER_WIDTH': side,
            'DIGITIZER_HEIGHT': side,
            'IMAGE_CONCAT_FACTOR': int(level > 0),
        }
    return '\n'.join(
        '\n'.join([f'[{name}]', *(f'{key} = {value}' for key, value in keys.items())])
        for name, keys in sections.items()
    )


def _half(image: np.ndarray, times: int) -> np.ndarray:
    """Halve an image so many times."""
    size = (image.shape[1] >> times, image.shape[0] >> times)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _tiles(image: np.ndarray, side: int) -> list[np.ndarray]:
    """Cut an image, row by row; what is beyond its edge repeats the edge."""
    rows, columns = image.shape[:2]
    padded = np.pad(image, ((0, -rows % side), (0, -columns % side), (0, 0)), 'edge')
    return [
        padded[y : y + side, x : x + side]
        for y in range(0, rows, side)
        for x in range(0, columns, side)
    ]


def _jpeg(image: np.ndarray, subsampled: bool = True, interval: int = 0) -> bytes:
    """Encode BGR; with ``interval`` there is a marker after so many blocks."""
    sampling = (
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if subsampled else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    )
    settings = {
        cv2.IMWRITE_JPEG_QUALITY: 95,
        cv2.IMWRITE_JPEG_RST_INTERVAL: interval,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: sampling,
    }
    flat = [value for item in settings.items() for value in item]
    return cv2.imencode('.jpg', image, flat)[1].tobytes()


def _restarts(jpeg: bytes) -> list[int]:
    """Where the parts between the markers of a JPEG begin."""
    scan = jpeg.index(b'\xff\xda')
    first = scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4], 'big')
    return [first] + [
        at + 2
        for at in range(first, len(jpeg) - 1)
        if jpeg[at] == 0xFF and 0xD0 <= jpeg[at + 1] <= 0xD7
    ]
