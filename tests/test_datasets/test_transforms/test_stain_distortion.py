import numpy as np
import pytest
from mmdet.datasets.transforms import PhotoMetricDistortion
from mmdet.registry import TRANSFORMS

from ldwsccd_mmdet.datasets.transforms import StainDistortion

RANGES = dict(
    brightness_delta=16,
    contrast_range=(0.8, 1.2),
    saturation_range=(0.8, 1.2),
    hue_delta=8,
)


def distort(kind: type, seed: int, **ranges) -> np.ndarray:
    np.random.seed(seed)
    image = np.full((4, 4, 3), (120, 60, 200), np.uint8)  # a purple nucleus: blue, green, red
    return kind(**{**RANGES, **ranges}).transform(dict(img=image))['img']


@pytest.mark.parametrize('seed', range(8))
def test_it_is_the_parents_but_for_the_order_of_the_channels(seed: int) -> None:
    ours, theirs = (distort(kind, seed) for kind in (StainDistortion, PhotoMetricDistortion))
    np.testing.assert_allclose(np.sort(ours, -1), np.sort(theirs, -1))


def test_red_stays_red() -> None:
    found = [distort(StainDistortion, seed)[0, 0] for seed in range(64)]
    assert all(green < blue < red for blue, green, red in found)
    swapped = [distort(PhotoMetricDistortion, seed)[0, 0] for seed in range(64)]
    assert not all(green < blue < red for blue, green, red in swapped)


def test_nothing_to_vary_changes_nothing() -> None:
    still = dict(brightness_delta=0, contrast_range=(1, 1), saturation_range=(1, 1), hue_delta=0)
    np.testing.assert_allclose(
        distort(StainDistortion, 0, **still)[0, 0], (120, 60, 200), rtol=1e-4
    )


def test_a_config_finds_it() -> None:
    assert isinstance(TRANSFORMS.build(dict(type='StainDistortion', **RANGES)), StainDistortion)
