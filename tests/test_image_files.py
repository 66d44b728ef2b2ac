"""Every kind of image file gives the network the same pixels in training and in inference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image, ImageOps

from ldwsccd_mmdet.errors import ImageFileError
from ldwsccd_mmdet.image_files import check_image_file, read_image

GREY = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) % 251
COLOR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], -1).astype(np.uint8)  # RGB


def exif(path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(COLOR).save(path, exif=tags, quality=95)


def palette(path: Path) -> None:
    Image.fromarray(COLOR).convert('P', palette=Image.Palette.ADAPTIVE).save(path)


def rgba(path: Path) -> None:
    Image.fromarray(np.dstack([COLOR, np.full((48, 64), 7, np.uint8)])).save(path)


KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    'exif': ('.jpg', exif),
    'palette': ('.png', palette),
    'rgba': ('.png', rgba),
    'grey': ('.png', lambda path: Image.fromarray(GREY.astype(np.uint8)).save(path)),
    'one bit': ('.png', lambda path: Image.fromarray(GREY > 99).save(path)),
    '16 bit': ('.png', lambda path: cv2.imwrite(str(path), (GREY * 256).astype(np.uint16))),
    '16 bit tiff': ('.tif', lambda path: cv2.imwrite(str(path), (GREY * 256).astype(np.uint16))),
    'bmp': ('.bmp', lambda path: Image.fromarray(COLOR).save(path)),
    'tiff': ('.tiff', lambda path: Image.fromarray(COLOR).save(path)),
}


@pytest.mark.parametrize('kind', KINDS)
def test_is_what_training_saw(tmp_path: Path, kind: str) -> None:
    suffix, write = KINDS[kind]
    file = tmp_path / f'a{suffix}'
    write(file)
    image = read_image(file)
    assert image.dtype == np.uint8 and image.shape[2] == 3
    assert np.array_equal(image, LoadImageFromFile()({'img_path': str(file)})['img'])
    if kind == 'exif':
        assert image.shape == (64, 48, 3)
        upright = np.asarray(ImageOps.exif_transpose(Image.open(file)))[..., ::-1]
        assert np.abs(image.astype(int) - upright).mean() < 2
    elif kind in ('grey', '16 bit', '16 bit tiff'):
        assert np.array_equal(image, np.dstack([GREY] * 3))
    elif kind in ('rgba', 'bmp', 'tiff'):
        assert np.array_equal(image, COLOR[..., ::-1])


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        (None, "a.jpg' cannot be read .No such file"),
        (b'', r"a.jpg' \(0 bytes\) is not an image"),
        (b'version https://git-lfs.github.com/spec/v1\n', 'a Git LFS pointer'),
        (b'\xff\xd8\xff\xda\x00', "a.jpg' is cut short"),
    ],
)
def test_one_line_for_a_bad_file(tmp_path: Path, content: bytes | None, match: str) -> None:
    file = tmp_path / 'a.jpg'
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ImageFileError, match=match) as error:
        check_image_file(file)
    assert '\n' not in str(error.value)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match='it is no file'):
        read_image(tmp_path)
