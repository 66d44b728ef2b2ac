"""Files under the name given or a near one, and the frame that an image is in."""

from __future__ import annotations

import io
import os
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ldwsccd_mmdet.datasets.files import (
    encoded_header,
    find_images,
    frame_fault,
    image_header,
    image_size,
    is_dim,
    path_inside,
    read_text,
)
from ldwsccd_mmdet.errors import DatasetError, ImageFileError
from ldwsccd_mmdet.image_files import is_complete

PICTURE = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)


def encode(kind: str, orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, kind, exif=tags)
    return stream.getvalue()


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_size_is_that_of_the_picture_that_is_loaded(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    data = encode(kind, orientation)
    loaded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert encoded_header(data).size == loaded.shape[1::-1]
    (tmp_path / 'a').write_bytes(data)
    assert image_size(tmp_path / 'a') == loaded.shape[1::-1]


def test_pages_bits_and_large_images(tmp_path: Path) -> None:
    planes = [Image.fromarray(PICTURE)] * 3
    planes[0].save(tmp_path / 'stack.tif', save_all=True, append_images=planes[1:])
    assert image_header(tmp_path / 'stack.tif').pages == 3
    values = np.arange(4000, dtype=np.uint16).reshape(50, 80)
    for name, picture in (('grey.png', values), ('color.png', np.dstack([values] * 3))):
        cv2.imwrite(str(tmp_path / name), picture)
        assert image_header(tmp_path / name).bits == 16
        assert is_dim((tmp_path / name).read_bytes())
        cv2.imwrite(str(tmp_path / name), picture * 16)
        assert not is_dim((tmp_path / name).read_bytes())
    # a header of a picture that Pillow takes for a bomb
    header = bytearray(encode('PNG'))
    header[16:24] = (90_000).to_bytes(4, 'big') + (80_000).to_bytes(4, 'big')
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, 'big')
    (tmp_path / 'huge.png').write_bytes(bytes(header))
    assert image_size(tmp_path / 'huge.png') == (90_000, 80_000)
    for data in (b'', b'x', b'\x89PNG\r\n\x1a\n'):
        (tmp_path / 'bad.png').write_bytes(data)
        with pytest.raises(ImageFileError, match='bad.png.*cannot be read as an image'):
            image_size(tmp_path / 'bad.png')


@pytest.mark.parametrize('tail', [b'', b'\xff\xda' * 9, b'\0' * 40, encode('JPEG')[:99]])
def test_bytes_after_the_end_are_no_damage(tail: bytes) -> None:
    data = encode('JPEG')
    assert is_complete(data + tail)
    for cut in (len(data) // 2, len(data) - 2, 30, 3):
        assert not is_complete(data[:cut])
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, 'JPEG', progressive=True)
    assert is_complete(stream.getvalue() + tail) and not is_complete(stream.getvalue()[:-40])


@pytest.mark.parametrize(
    ('recorded', 'orientation', 'match'),
    [
        ((80, 40), 1, None),
        ((81, 40), 1, None),
        ((40, 80), 6, None),
        ((80, 40), 6, 'exchanged: the orientation tag'),
        ((40, 80), 1, 'exchanged$'),
        ((320, 160), 1, '0.25 times as large'),
        ((20, 10), 1, '4 times as large'),
        ((80, 60), 1, 'another picture'),
    ],
)
def test_frames(recorded: tuple[int, int], orientation: int, match: str | None) -> None:
    fault = frame_fault(recorded, encoded_header(encode('JPEG', orientation)))
    if match is None:
        assert fault is None
    else:
        assert fault is not None and re.search(match, fault)


@pytest.mark.parametrize(
    ('there', 'asked'),
    [
        ('sub/a b.jpg', 'sub\\a b.jpg'),
        ('sub/a b.jpg', 'sub/a%20b.jpg'),
        ('sub/A.JPG', 'sub/a.jpg'),
        ('caf\u00e9.png', 'cafe\u0301.png'),
        ('cafe\u0301.png', 'caf\u00e9.png'),
        ('a.jpeg', 'a.jpg'),
        ('a.TIFF', 'a.tif'),
        ('a.jpg', './a.jpg'),
        ('a.jpg', 'a.jpg'),
    ],
)
def test_near_names_are_found(tmp_path: Path, there: str, asked: str) -> None:
    path = tmp_path / there
    path.parent.mkdir(exist_ok=True)
    path.touch()
    found = find_images(tmp_path, [asked])
    assert os.path.samefile(found.paths[asked], path) and not found.missing


@pytest.mark.parametrize(
    ('there', 'asked', 'hint'),
    [
        (['x/a.jpg'], 'C:\\data\\a.jpg', 'x/a.jpg'),
        (['x/a.jpg'], 'a.jpg', 'x/a.jpg'),
        (['a.png'], 'a.jpg', 'a.png'),
        (['A.jpg', 'a.JPG'], 'a.jpg', 'A.jpg'),  # two of them: which one is meant is open
        (['b.jpg'], 'a.jpg', None),
    ],
)
def test_other_names_are_named(
    tmp_path: Path, there: list[str], asked: str, hint: str | None
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_images(tmp_path, [asked])
    assert found.missing == [asked]
    assert {k: v.relative_to(tmp_path).as_posix() for k, v in found.hints.items()} == (
        {asked: hint} if hint else {}
    )
    with pytest.raises(DatasetError, match='1 of the 1 images of .set. are not there') as error:
        found.require(tmp_path, 'set', 'put them there')
    assert (hint or 'put them there') in str(error.value)


@pytest.mark.parametrize(
    'name',
    ['../a.txt', '/etc/a', 'a/../../b', 'C:\\a', '..\\a', '\\\\server\\a', '', 'a\nb', 'a\0'],
)
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError):
        path_inside(tmp_path, name)


def test_names_inside(tmp_path: Path) -> None:
    assert path_inside(tmp_path, 'a/b..c.txt') == tmp_path / 'a' / 'b..c.txt'


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be'])
def test_text_of_other_tools(tmp_path: Path, encoding: str) -> None:
    (tmp_path / 'a.txt').write_bytes('lsil\r\nhigh grade\r\n'.encode(encoding))
    assert read_text(tmp_path / 'a.txt').split() == ['lsil', 'high', 'grade']


def test_text_is_bounded(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    for path in ('/dev/zero', tmp_path / 'pipe', tmp_path, tmp_path / 'none'):
        with pytest.raises(DatasetError, match='cannot be read'):
            read_text(path)
    (tmp_path / 'a.txt').write_bytes(b'x' * 99)
    with pytest.raises(DatasetError, match='longer than 50 bytes'):
        read_text(tmp_path / 'a.txt', 50)
    (tmp_path / 'a.txt').write_bytes(b'\xe9t\xe9 ')
    with pytest.raises(DatasetError, match='save it as UTF-8'):
        read_text(tmp_path / 'a.txt')
