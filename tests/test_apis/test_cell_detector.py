"""What every detector offers to prediction."""

import numpy as np
import pytest

from ldwsccd_mmdet.apis.cell_detector import check_images
from ldwsccd_mmdet.errors import ConfigError

FIELD = np.zeros((4, 6, 3), np.uint8)


def test_bgr_images_of_any_sizes_are_right():
    check_images([])
    check_images([FIELD, np.ones((9, 2, 3), np.uint8)])
    check_images(np.stack([FIELD, FIELD]))


@pytest.mark.parametrize(
    ('images', 'says'),
    [
        ([FIELD, None], r'images\[1\]: .* found None; cv2.imread'),
        (FIELD, 'not in a list'),
        ([FIELD[..., 0]], r'uint8 \(4, 6\)'),
        ([FIELD.astype(float)], 'float64'),
        ([FIELD[:0]], r'\(0, 6, 3\)'),
        (['field.png'], 'str'),
    ],
)
def test_anything_else_is_one_clear_error(images, says):
    with pytest.raises(ConfigError, match=says):
        check_images(images)
