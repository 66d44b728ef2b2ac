from __future__ import annotations

import numpy as np
import pytest
import torch

from ldwsccd_mmdet.models.losses import DistillationMaps, LocalDistillationLoss
from ldwsccd_mmdet.visualization.distillation_maps import error_in_boxes, plot_distillation_maps

BOXES = np.array([[4.0, 4.0, 30.0, 28.0], [40.0, 20.0, 60.0, 44.0]])


@pytest.fixture
def maps() -> list[DistillationMaps]:
    """Two levels of two images of 48 x 64 pixels."""
    loss = LocalDistillationLoss((4, 4), (4, 4), feature_norm=None)
    student, teacher = ([torch.randn(2, 4, 6, 8), torch.randn(2, 4, 3, 4)] for _ in range(2))
    boxes = torch.tensor(BOXES, dtype=torch.float32)
    return loss.maps(student, teacher, [boxes, boxes[:1]], (48, 64))


def test_each_panel_shows_its_map(maps: list[DistillationMaps]) -> None:
    figure = plot_distillation_maps(maps, BOXES[:1], (48, 64), index=1, title='a smear')
    panels = [ax for ax in figure.axes if ax.get_images() and ax.patches]
    assert len(panels) == 8
    for number, panel in enumerate(panels):
        shown = panel.get_images()[0]
        expected = maps[number // 4][number % 4][1]
        np.testing.assert_allclose(shown.get_array(), expected.numpy(), rtol=1e-6)
        # pixels of the batch tensor: boxes and maps in one frame
        assert tuple(shown.get_extent()) == (0, 64, 48, 0)
        assert [patch.get_bbox().extents.tolist() for patch in panel.patches] == [BOXES[0].tolist()]
    assert panels[0].get_ylabel() == 'stride 8: 6 x 8 cells'
    assert panels[4].get_ylabel() == 'stride 16: 3 x 4 cells'
    assert figure.get_suptitle() == 'a smear'


def test_attentions_share_a_scale(maps: list[DistillationMaps]) -> None:
    figure = plot_distillation_maps(maps, BOXES, (48, 64))
    teacher, student = (ax.get_images()[0].get_clim() for ax in figure.axes[1:3])
    assert teacher == student


def test_texts_below_the_maps() -> None:
    mask = torch.zeros(1, 4, 4)
    mask[0, :2] = 1  # half of the cells
    error = torch.ones(1, 4, 4)
    error[0, :2] = 3  # three quarters of the error
    attention = torch.arange(16.0).view(1, 4, 4)
    level = DistillationMaps(mask, attention, -attention, error)
    texts = [ax.get_xlabel() for ax in plot_distillation_maps([level], BOXES, (32, 32)).axes[:4]]
    assert texts[0] == '50.0% of the cells'
    assert texts[2].endswith(' -1.00')
    assert texts[3] == '75% of the error in the mask'


def test_photograph_darkens_outside_the_mask(maps: list[DistillationMaps]) -> None:
    image = np.full((40, 64, 3), 100, np.uint8)  # 8 rows of padding below
    figure = plot_distillation_maps(maps, BOXES, (48, 64), image=image)
    photo, veil = figure.axes[0].get_images()
    assert tuple(photo.get_extent()) == (0, 64, 40, 0)
    alpha = np.asarray(veil.get_array())[..., 3]
    assert (alpha[maps[0].mask[0].numpy() == 1] == 0).all()
    assert (alpha[maps[0].mask[0].numpy() == 0] > 0.5).all()


def test_student_equal_to_its_teacher_and_no_box() -> None:
    loss = LocalDistillationLoss((4,), (4,), feature_norm=None)
    feats = [torch.full((1, 4, 1, 1), 2.0)]
    maps = loss.maps(feats, feats, [torch.zeros(0, 4)], (32, 32))
    figure = plot_distillation_maps(maps, np.zeros((0, 4)), (32, 32), names=['only'])
    assert figure.axes[3].get_xlabel() == 'no error'
    assert 'undefined' in figure.axes[2].get_xlabel()
    figure.canvas.draw()


def test_error_in_boxes_by_a_loop() -> None:
    rng = np.random.default_rng(0)
    error, mask = rng.random((5, 7)), (rng.random((5, 7)) > 0.6).astype(float)
    inside = total = 0.0
    for i in range(5):
        for j in range(7):
            total += error[i, j]
            inside += error[i, j] if mask[i, j] else 0.0
    assert error_in_boxes(mask, error) == pytest.approx(inside / total)
    assert error_in_boxes(mask, np.zeros((5, 7))) is None


def test_nothing_to_draw(maps: list[DistillationMaps]) -> None:
    with pytest.raises(ValueError, match='found 0 levels'):
        plot_distillation_maps([], BOXES, (48, 64))
    with pytest.raises(ValueError, match='found 2 levels and 1 names'):
        plot_distillation_maps(maps, BOXES, (48, 64), names=['one'])
