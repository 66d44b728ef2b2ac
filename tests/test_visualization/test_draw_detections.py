import numpy as np
import pytest

from ldwsccd_mmdet.datasets.palette import class_palette, contrast_color
from ldwsccd_mmdet.visualization import draw_detections
from ldwsccd_mmdet.visualization.label_layout import place_labels, text_sizes

GREY = np.full((60, 80, 3), 128, np.uint8)
CLASSES = ('ascus', 'hsil')


def test_small_image_is_enlarged_and_drawn_on():
    image = GREY.copy()
    drawn = draw_detections(image, [[10, 20, 40, 50]], [1], np.array([0.5]), CLASSES, scale=3)
    assert drawn.shape == (180, 240, 3)
    # the left edge of the box, half way up, has the colour of its class
    np.testing.assert_array_equal(drawn[105, 31], class_palette(2)[1])
    np.testing.assert_array_equal(drawn[170, 230], [128, 128, 128])
    assert (image == 128).all()


def test_best_name_lies_on_top():
    """Where there is no room for all names."""
    boxes, scores = [[5, 5, 70, 50]] * 30, np.linspace(0.1, 0.9, 30)
    labels = [0] * 29 + [1]
    drawn = draw_detections(GREY, boxes, labels, scores, CLASSES, scale=1)
    alone = draw_detections(GREY, boxes[-1:], labels[-1:], scores[-1:], CLASSES, scale=1)
    size = text_sizes(['hsil 0.90'], 13)
    left, top = place_labels(np.array(boxes[-1:], float), size, (80, 60))[0].round().astype(int)
    width, height = size[0].astype(int)
    window = np.s_[top + 1 : top + height - 1, left + 1 : left + width - 1]
    np.testing.assert_array_equal(drawn[window], alone[window])
    assert (drawn[window] == class_palette(2)[1]).all(-1).mean() > 0.3


def test_default_scale_by_short_side():
    assert draw_detections(GREY, [], [], classes=CLASSES).shape == (180, 240, 3)
    large = np.zeros((600, 700, 3), np.uint8)
    assert draw_detections(large, [], [], classes=CLASSES).shape == large.shape


def test_box_outside_the_image():
    drawn = draw_detections(GREY, [[-50, -50, 500, 500]], [0], classes=CLASSES, scale=1)
    np.testing.assert_array_equal(drawn[59, 70], class_palette(2)[0])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'image': GREY[..., 0]}, 'image must be RGB'),
        ({'image': GREY / 255}, 'uint8'),
        ({'labels': [0, 1]}, 'as many'),
        ({'scores': np.ones(2)}, 'as many'),
        ({'labels': [2]}, 'labels must index classes'),
        ({'labels': [-1]}, 'labels must index classes'),
    ],
)
def test_arguments_that_do_not_fit(change, message):
    arguments = {'image': GREY, 'bboxes': [[1, 1, 9, 9]], 'labels': [0], 'classes': CLASSES}
    with pytest.raises(ValueError, match=message):
        draw_detections(**(arguments | change))


def overlaps(corners, sizes):
    low = np.maximum(corners[:, None], corners[None])
    high = np.minimum((corners + sizes)[:, None], (corners + sizes)[None])
    area = (high - low).clip(min=0).prod(-1)
    return area - np.diag(np.diag(area))


def test_labels_of_one_place_are_spread():
    bboxes = np.array([[100, 100, 220, 160]] * 6, float)
    sizes = np.tile([50.0, 12.0], (6, 1))
    corners = place_labels(bboxes, sizes, (400, 300))
    assert overlaps(corners, sizes).max() == 0
    assert corners[0].tolist() == [100, 88]  # the first has the usual place


def test_labels_stay_inside():
    rng = np.random.default_rng(0)
    low = rng.uniform(-20, 190, (200, 2))
    bboxes = np.hstack([low, low + rng.uniform(1, 60, (200, 2))])
    sizes = np.column_stack([rng.uniform(10, 80, 200), np.full(200, 12.0)])
    corners = place_labels(bboxes, sizes, (200, 150))
    assert (corners >= 0).all()
    assert (corners + sizes <= [200, 150]).all()


def test_text_size_follows_text_and_font():
    sizes = text_sizes(['scc', 'actinomyces'], 10)
    assert sizes[1, 0] > 2 * sizes[0, 0]
    np.testing.assert_allclose(text_sizes(['scc'], 20), 2 * sizes[:1])
    assert text_sizes([], 10).shape == (0, 2)


def test_eleven_classes_have_eleven_colors():
    assert len({tuple(color) for color in class_palette(11)}) == 11
    np.testing.assert_array_equal(class_palette(12)[11], class_palette(1)[0])


def test_contrast():
    assert contrast_color(np.array([240, 228, 66])).tolist() == [0, 0, 0]
    assert contrast_color(np.array([[51, 34, 136], [0, 0, 0]])).tolist() == [[255] * 3] * 2
