"""Pictures of mined cells: which images, in which order, and what is drawn where."""

import numpy as np
import pytest
from PIL import Image

from ldwsccd_mmdet.errors import ImageFileError
from ldwsccd_mmdet.visualization.mined_box_pictures import draw_mined_boxes

GREY = 128


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    (folder / 'deep').mkdir(parents=True)
    for name in ('a.png', 'deep/b.png', 'c.png'):
        Image.new('RGB', (80, 60), (GREY,) * 3).save(folder / name)
    return folder


def coco(annotations):
    return dict(
        categories=[dict(id=7, name='cell')],
        images=[
            dict(id=i, file_name=name) for i, name in enumerate(('a.png', 'deep/b.png', 'c.png'))
        ],
        annotations=annotations,
    )


def box(image, x, **more):
    return dict(image_id=image, category_id=7, bbox=[x, 30, 20, 20], **more)


def drawn(picture):
    """Which columns of the two panels differ from the plain image, below the names."""
    pixels = np.asarray(Image.open(picture).convert('L'), int)[46:]
    left, right = pixels[:, :80], pixels[:, 88:]
    return [np.flatnonzero((abs(panel - GREY) > 40).any(axis=0)) for panel in (left, right)]


def test_most_cells_first_and_each_panel_its_boxes(images, tmp_path):
    given = coco([box(0, 5), box(1, 5)])
    mined = coco([box(0, 50, prob=0.9), box(1, 50, prob=0.8), box(1, 30, prob=0.3)])
    pictures = draw_mined_boxes(given, mined, images, tmp_path / 'out')
    assert [p.name for p in pictures] == ['001_b.jpg', '002_a.jpg']  # 1.1 and 0.9 cells expected
    left, right = drawn(pictures[0])
    assert left.min() >= 2 and left.max() <= 28
    assert right.min() >= 46 and right.max() <= 74  # the one of 0.3 is not drawn


def test_number_of_pictures_and_no_mined_cell(images, tmp_path):
    mined = coco([box(i, 50, prob=0.9) for i in range(3)])
    assert len(draw_mined_boxes(coco([]), mined, images, tmp_path / 'one', num=1)) == 1
    assert draw_mined_boxes(coco([box(0, 5)]), coco([]), images, tmp_path / 'none') == []


def test_missing_image_is_named(tmp_path):
    with pytest.raises(ImageFileError, match=r'a\.png'):
        draw_mined_boxes(coco([]), coco([box(0, 50, prob=0.9)]), tmp_path, tmp_path / 'out')
