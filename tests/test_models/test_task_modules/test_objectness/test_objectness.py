"""Bottom-up objectness against loops over pixels and superpixels."""

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import TASK_UTILS

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.task_modules.objectness import superpixels
from ldwsccd_mmdet.models.task_modules.objectness.base_objectness import IntegralImage
from ldwsccd_mmdet.models.task_modules.objectness.edge_density import edges

MEASURES = [dict(type='SuperpixelStraddling', num_superpixels=9), dict(type='EdgeDensity')]
PLAIN = DetDataPreprocessor(mean=[0, 0, 0], std=[1, 1, 1], bgr_to_rgb=True)


def look(measure, pictures, **kwargs):
    return TASK_UTILS.build(dict(measure, **kwargs))(pictures, PLAIN)


def two_discs(size=48):
    """A bright picture with two dark discs of radius 8, at (14, 14) and (34, 30)."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing='ij')
    picture = torch.full((3, size, size), 220.0)
    for cx, cy in ((14, 14), (34, 30)):
        picture[:, (x - cx) ** 2 + (y - cy) ** 2 <= 64] = 60.0
    return picture[None]


def random_boxes(n, size):
    corner = torch.rand(n, 2) * size * 0.7
    return torch.cat([corner, corner + 1 + torch.rand(n, 2) * size * 0.4], dim=1)


def test_integral_image_sums_parts_of_pixels():
    maps = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    boxes = torch.tensor([[[0.0, 0, 7, 5], [1.5, 0.25, 4, 3.75], [2, 2, 2, 4]]] * 2).double()
    sums = IntegralImage(maps)(boxes)
    for n in range(2):
        for r in range(3):
            x1, y1, x2, y2 = boxes[n, r].tolist()
            expected = torch.zeros(3, dtype=torch.float64)
            for y in range(5):
                for x in range(7):
                    width = max(0.0, min(x2, x + 1) - max(x1, x))
                    height = max(0.0, min(y2, y + 1) - max(y1, y))
                    expected += maps[n, :, y, x] * width * height
            torch.testing.assert_close(sums[n, :, r], expected)


def test_straddling_equals_a_loop():
    torch.manual_seed(0)
    pictures = (torch.rand(2, 3, 20, 24) * 255).round()
    boxes = torch.stack([random_boxes(6, 20).round() for _ in range(2)]).clamp(max=20)
    found = look(MEASURES[0], pictures)(boxes)
    labels = superpixels(pictures, 9)
    for n in range(2):
        for r in range(6):
            x1, y1, x2, y2 = boxes[n, r].int().tolist()
            inside = torch.zeros(20, 24, dtype=torch.bool)
            inside[y1:y2, x1:x2] = True
            straddling = 0
            for s in labels[n].unique():
                own = labels[n] == s
                straddling += min(int((own & inside).sum()), int((own & ~inside).sum()))
            assert found[n, r].item() == pytest.approx(1 - straddling / int(inside.sum()), abs=1e-4)


def test_edge_density_equals_a_loop():
    torch.manual_seed(0)
    pictures = (torch.rand(1, 3, 20, 20) * 255).round()
    boxes = torch.tensor([[[2.0, 4, 12, 14], [0, 0, 20, 20]]])
    found = look(MEASURES[1], pictures, shrink=0.6)(boxes)
    strength = edges(pictures)[0, 0]
    for r in range(2):
        x1, y1, x2, y2 = boxes[0, r].tolist()
        (cx, cy), (w, h) = ((x1 + x2) / 2, (y1 + y2) / 2), (x2 - x1, y2 - y1)
        inner = (cx - 0.3 * w, cy - 0.3 * h, cx + 0.3 * w, cy + 0.3 * h)
        total = 0.0
        for y in range(20):
            for x in range(20):
                part = [
                    max(0.0, min(b[2], x + 1) - max(b[0], x))
                    * max(0.0, min(b[3], y + 1) - max(b[1], y))
                    for b in ((x1, y1, x2, y2), inner)
                ]
                total += strength[y, x].item() * (part[0] - part[1])
        assert found[0, r].item() == pytest.approx(total / (w * h * (1 - 0.36)), abs=1e-4)


def test_gradient_is_sobels():
    step = torch.zeros(1, 3, 5, 6)
    step[..., 3:] = 100.0
    expected = torch.tensor([0.0, 0, 1, 1, 0, 0]).expand(5, 6)
    torch.testing.assert_close(edges(step)[0, 0], expected)
    assert not edges(torch.full((1, 3, 4, 4), 7.0)).any()


@pytest.mark.parametrize('measure', MEASURES)
def test_a_whole_disc_beats_its_part_and_nothing(measure):
    if measure['type'] == 'SuperpixelStraddling':
        measure = dict(measure, num_superpixels=25)
    whole, half, shifted = [6.0, 6, 23, 23], [6.0, 6, 14, 23], [14.0, 14, 31, 31]
    values = look(measure, two_discs())(torch.tensor([[whole, half, shifted]]))[0]
    assert values[0] > values[1] and values[0] > values[2]


@pytest.mark.parametrize('measure', MEASURES)
@pytest.mark.parametrize('size', [(1, 1), (3, 40), (200, 120)])
def test_any_size_and_any_box(measure, size):
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, *size) * 255
    odd = torch.tensor([[-50.0, -50, -1, -1], [0, 0, 1000, 1000], [1, 1, 1, 1], [0.2, 0, 0.7, 1]])
    values = look(measure, pictures)(odd.expand(2, 4, 4))
    assert values.shape == (2, 4)
    assert values.isfinite().all() and values.min() >= 0 and values.max() <= 1
    assert values[:, 0].eq(0).all() and values[:, 2].eq(0).all()
    assert look(measure, pictures)(torch.zeros(2, 0, 4)).shape == (2, 0)


@pytest.mark.parametrize('measure', MEASURES)
def test_images_of_a_batch_do_not_meet(measure):
    torch.manual_seed(0)
    pictures, boxes = torch.rand(3, 3, 24, 24) * 255, torch.stack([random_boxes(4, 24)] * 3)
    together = look(measure, pictures)(boxes)
    for n in range(3):
        alone = look(measure, pictures[n : n + 1])(boxes[n : n + 1])
        torch.testing.assert_close(together[n], alone[0], atol=1e-4, rtol=0)


def test_a_large_picture_is_shrunk_and_its_boxes_too():
    boxes = torch.tensor([[[6.0, 6, 23, 23]]])
    large = torch.nn.functional.interpolate(two_discs(), scale_factor=4)
    measure = dict(type='SuperpixelStraddling', num_superpixels=25, max_side=48)
    expected = look(measure, two_discs())(boxes)
    torch.testing.assert_close(look(measure, large)(boxes * 4), expected)


def test_superpixels_of_two_colours_are_the_colours():
    """A picture of two flat halves: no superpixel has pixels of both."""
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 13:] = 255.0
    labels = superpixels(picture, 16)
    left, right = set(labels[..., :13].unique().tolist()), set(labels[..., 13:].unique().tolist())
    assert not left & right
    assert labels.min() >= 0 and labels.max() < 16


def test_superpixels_of_one_colour_are_the_grid():
    labels = superpixels(torch.full((1, 3, 24, 36), 128.0), 6)
    grid = torch.arange(6).view(2, 3).repeat_interleave(12, 0).repeat_interleave(12, 1)
    assert torch.equal(labels[0], grid)


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (dict(type='SuperpixelStraddling', num_superpixels=1), 'num_superpixels: .* found 1'),
        (
            dict(type='SuperpixelStraddling', max_side=4),
            'SuperpixelStraddling.max_side: .* found 4',
        ),
        (dict(type='EdgeDensity', shrink=1), 'EdgeDensity.shrink: .* found 1'),
    ],
)
def test_bad_settings(cfg, message):
    with pytest.raises(ConfigError, match=message):
        TASK_UTILS.build(cfg)


def test_needs_the_preprocessor():
    with pytest.raises(ConfigError, match='EdgeDensity: expected the data_preprocessor'):
        TASK_UTILS.build(dict(type='EdgeDensity'))(torch.zeros(1, 3, 8, 8), None)
