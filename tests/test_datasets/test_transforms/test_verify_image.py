"""An image whose file is cut short is refused after mmdet's loader has filled it with grey."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmengine.dataset import Compose

from ldwsccd_mmdet.datasets import VerifyImage
from ldwsccd_mmdet.errors import ImageFileError


def write(path: Path, kept: float = 1.0, after: bytes = b'') -> Path:
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    data = cv2.imencode(path.suffix, image)[1].tobytes()
    path.write_bytes(data[: int(len(data) * kept)] + after)
    return path


def load(path: Path, **kwargs) -> dict | None:
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'mmdet.VerifyImage', **kwargs}]
    return Compose(steps)({'img_path': str(path)})


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.bmp', '.tiff'])
def test_passes_whole_files(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / f'a{suffix}')
    assert np.array_equal(load(file)['img'], cv2.imread(str(file)))


def test_passes_bytes_after_the_end(tmp_path: Path) -> None:
    assert load(write(tmp_path / 'a.jpg', after=b'\0' * 40)) is not None


@pytest.mark.parametrize('kept', [0.5, 0.9, 0.999])
def test_refuses_a_file_cut_short(tmp_path: Path, kept: float) -> None:
    results = load(write(tmp_path / 'whole.jpg'))
    # older versions of OpenCV load what there is of it, newer ones nothing
    results['img_path'] = str(write(tmp_path / 'cut.jpg', kept))
    with pytest.raises(ImageFileError, match=r"cut\.jpg' is cut short .* copy"):
        VerifyImage()(results)
    assert VerifyImage(ignore_empty=True)(results) is None


def test_an_array_has_no_file() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    check = TRANSFORMS.build({'type': 'VerifyImage'})
    assert isinstance(check, VerifyImage)
    for results in ({'img': image}, {'img': image, 'img_path': None}):
        assert check(results) is results
