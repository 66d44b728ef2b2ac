"""The classes of a checkpoint, wherever they stand, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from ldwsccd_mmdet.models.utils import checkpoint_classes


@pytest.mark.parametrize(
    ('meta', 'classes'),
    [
        ({'dataset_meta': {'classes': ('b', 'a')}}, ('b', 'a')),
        ({'dataset_meta': {'CLASSES': ['b', 'a']}}, ('b', 'a')),
        ({'CLASSES': ('b', 'a'), 'PALETTE': None}, ('b', 'a')),
        ({'dataset_meta': {'classes': ('a',)}, 'CLASSES': ('b',)}, ('a',)),
        ({'dataset_meta': {}}, None),
        ({'dataset_meta': 'x'}, None),
        ({'dataset_meta': {'classes': 7}}, None),
        ({'dataset_meta': {'classes': 'cell'}}, None),
        ({'dataset_meta': {'classes': ()}}, None),
        ([1], None),
        (None, None),
    ],
)
def test_classes(meta: Any, classes: tuple[str, ...] | None) -> None:
    assert checkpoint_classes(meta) == classes
