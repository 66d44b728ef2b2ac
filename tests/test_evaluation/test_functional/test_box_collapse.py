"""Collapsed pseudo-boxes, by kind, against loops and at the edges."""

import numpy as np
import pytest

from ldwsccd_mmdet.evaluation.functional.box_collapse import watch_collapse

CLASSES = ('lsil', 'hsil')
CELLS = np.array([[10, 10, 50, 50], [60, 60, 90, 90]], float)


def look(boxes, labels=None, cells=CELLS, cell_labels=(0, 0), count=6, **kwargs):
    """The same pseudo-boxes and cells in ``count`` images of 100 x 100 px."""
    boxes = np.array(boxes, float).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    return watch_collapse(
        [boxes] * count,
        [labels] * count,
        [(100, 100)] * count,
        [cells] * count,
        [np.array(cell_labels, int)] * count,
        CLASSES,
        **kwargs,
    )


@pytest.mark.parametrize(
    ('box', 'kind', 'words'),
    [
        ([0, 0, 100, 95], 'image', 'cover 95% of their image'),
        ([20, 20, 30, 30], 'part', 'lie to 100% in their cell but fill 6% of it'),
        ([0, 0, 90, 60], 'context', 'hold 100% of their cell but lie to 30% in it'),
        ([12, 8, 52, 48], None, None),  # right
        ([10, 50, 50, 90], None, None),  # beside its cell: wrong, but not collapsed
    ],
)
def test_kinds(box, kind, words):
    first, second = look([box])
    assert first.kind == kind and first.num_boxes == 6
    assert (first.warning is None) == (kind is None)
    if kind:
        assert words in first.warning and first.warning.startswith('lsil')
    assert second.kind is None and second.num_boxes == 0 and np.isnan(second.area_share)


def test_numbers_against_hand():
    entry = look([[20, 20, 70, 40]])[0]
    assert entry.area_share == pytest.approx(0.1)
    # 30 x 20 of the box's 50 x 20 lie in the cell of 40 x 40
    assert entry.inside == pytest.approx(0.6)
    assert entry.covered == pytest.approx(600 / 1600)
    assert entry.iou == pytest.approx(600 / (1600 + 1000 - 600))


def test_only_cells_of_the_class_count():
    lsil, hsil = look([[20, 20, 30, 30], [60, 60, 90, 90]], [1, 0], cell_labels=(0, 1))
    assert hsil.inside == 0 and hsil.kind is None  # it lies in a cell of lsil
    assert lsil.inside == 0 and lsil.iou == 0


def test_median_not_mean():
    """One bad box in each image of five does not make a collapse, three do."""
    right, part = [10, 10, 50, 50], [20, 20, 30, 30]
    assert look([right, right, right, part, part])[0].kind is None
    assert look([right, right, part, part, part])[0].kind == 'part'


def test_without_truth_only_the_whole_image_is_seen():
    none = np.zeros((0, 4))
    assert look([[0, 0, 100, 100]], cells=none, cell_labels=())[0].kind == 'image'
    entry = look([[20, 20, 30, 30]], cells=none, cell_labels=())[0]
    assert entry.kind is None and np.isnan(entry.iou)


def test_few_boxes_are_not_judged():
    assert look([[0, 0, 100, 100]], count=4)[0].kind is None
    assert look([[0, 0, 100, 100]], count=4, min_boxes=4)[0].kind == 'image'
    assert [entry.num_boxes for entry in look([])] == [0, 0]
