"""Boxes around segmentations: polygons, and masks in runs as pycocotools packs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from ldwsccd_mmdet.datasets.mask_box import mask_box


@pytest.mark.parametrize('seed', range(30))
def test_runs_have_the_box_of_their_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    mask = np.asfortranarray((rng.random((height, width)) < rng.choice([0.02, 0.5, 1])), np.uint8)
    flat = mask.flatten(order='F')
    edges = np.flatnonzero(np.diff(flat, prepend=0)) if flat.size else []
    runs = np.diff([0, *edges, flat.size]).tolist()  # the first run is empty, maybe of length 0
    packed = coco_mask.encode(mask)['counts'].decode()
    rows, columns = np.nonzero(mask)
    expected = None
    if len(rows):
        x, y = columns.min(), rows.min()
        expected = [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
    for counts in (runs, packed):
        assert mask_box({'size': [int(height), int(width)], 'counts': counts}) == expected


@pytest.mark.parametrize(
    'segmentation',
    [
        [[10, 20, 40, 20, 40, 35]],
        [10, 20, 40, 20, 40, 35],
        [[[10, 20], [40, 20]], [[40, 35]]],
        [[10, 20, 40, 20], ['40', '35']],
    ],
)
def test_polygons(segmentation: Any) -> None:
    assert mask_box(segmentation) == [10, 20, 30, 15]


@pytest.mark.parametrize(
    'segmentation',
    [
        None,
        [],
        [[]],
        'x',
        7,
        {},
        [{'x': 1, 'y': 2}],
        [[1, 2, 3]],
        {'size': [4, 4]},
        {'size': [4, 4], 'counts': []},
        {'size': [4, 4], 'counts': [16]},
        {'size': [4, 4], 'counts': [3, 14]},
        {'size': [4, 4], 'counts': [20, -4]},
        {'size': [0, 4], 'counts': [0]},
        {'size': [4, 4], 'counts': 'o'},
        {'size': [4, 4], 'counts': '\u00e9'},
        {'size': [10**9, 10**9], 'counts': [10**18]},
        {'size': [4, None], 'counts': [16]},
        {'size': [float('inf'), 4], 'counts': [16]},
    ],
)
def test_what_is_no_segmentation(segmentation: Any) -> None:
    assert mask_box(segmentation) is None
