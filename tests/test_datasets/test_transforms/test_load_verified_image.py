"""The loader of older configs: loading an image, or naming the file that can't be loaded."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from torch.utils.data import DataLoader, Dataset

from ldwsccd_mmdet.datasets import LoadVerifiedImageFromFile
from ldwsccd_mmdet.errors import ImageFileError
from ldwsccd_mmdet.image_files import is_complete

SUFFIXES = ('.jpg', '.png', '.webp')


def encode(suffix: str, options: tuple[int, ...] = ()) -> bytes:
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    return cv2.imencode(suffix, image, options)[1].tobytes()


def load(path: Path, **kwargs) -> dict | None:
    return LoadVerifiedImageFromFile(**kwargs)({'img_path': str(path)})


@pytest.mark.parametrize('suffix', [*SUFFIXES, '.bmp', '.tiff'])
def test_loads_as_opencv_does(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f'a{suffix}'
    file.write_bytes(encode(suffix))
    results = load(file)
    assert np.array_equal(results['img'], cv2.imread(str(file)))
    assert results['img_shape'] == results['ori_shape'] == (48, 64)
    assert load(file, to_float32=True)['img'].dtype == np.float32


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('kept', [0.5, 0.9, 0.999])
def test_refuses_a_file_cut_short(tmp_path: Path, suffix: str, kept: float) -> None:
    data = encode(suffix)
    file = tmp_path / f'cut{suffix}'
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageFileError, match=rf"cut\{suffix}' is cut short .* copy"):
        load(file)
    assert load(file, ignore_empty=True) is None


@pytest.mark.parametrize('suffix', ['.bmp', '.tiff'])
def test_other_formats_cut_short(tmp_path: Path, suffix: str) -> None:
    data = encode(suffix)
    file = tmp_path / f'cut{suffix}'
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageFileError, match='cut'):
        load(file)


def test_progressive_jpeg_and_bytes_after_the_end() -> None:
    data = encode('.jpg', (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    assert is_complete(data) and is_complete(data + b'\0' * 9) and not is_complete(data[:-2])


def test_preview_in_the_header_is_not_the_end() -> None:
    preview, data = encode('.jpg'), encode('.jpg')
    segment = b'\xff\xe1' + (len(preview) + 2).to_bytes(2, 'big') + preview
    data = data[:2] + segment + data[2:]
    assert is_complete(data) and not is_complete(data[:-500])


@pytest.mark.parametrize('content', [b'', b'no image at all'])
def test_refuses_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / 'text.jpg'
    file.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"text\.jpg' .* not an image"):
        load(file)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r"gone\.jpg' cannot be read .* data_prefix"):
        load(tmp_path / 'gone.jpg')


class OneImage(Dataset):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict | None:
        return load(self.path)


def test_keeps_its_type_in_a_worker_process(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r'gone\.jpg'):
        list(DataLoader(OneImage(tmp_path / 'gone.jpg'), num_workers=1))


def test_is_registered_and_deprecated() -> None:
    with pytest.warns(DeprecationWarning, match='VerifyImage'):
        LoadVerifiedImageFromFile()
    assert TRANSFORMS.get('LoadVerifiedImageFromFile') is LoadVerifiedImageFromFile
