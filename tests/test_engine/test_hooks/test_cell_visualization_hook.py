"""Each image of a test has a picture of its own."""

from __future__ import annotations

import pytest

from ldwsccd_mmdet.engine.hooks.cell_visualization_hook import picture_names


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['d/images/1.jpg', 'd/images/2.jpg'], ['1.jpg', '2.jpg']),
        (['d/a/1.jpg', 'd/b/1.jpg', 'd/b/2.jpg'], ['a/1.jpg', 'b/1.jpg', '2.jpg']),
        (['/d/x/a/1.jpg', '/d/y/a/1.jpg'], ['x/a/1.jpg', 'y/a/1.jpg']),
    ],
)
def test_picture_names(paths: list[str], names: list[str]) -> None:
    assert picture_names(paths) == dict(zip(paths, names, strict=True))
    assert len(set(picture_names(paths).values())) == len(paths)
