"""Each image of a test has a picture of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.visualization import Visualizer

from ldwsccd_mmdet.engine.hooks.cell_visualization_hook import (
    CellVisualizationHook,
    picture_names,
)
from ldwsccd_mmdet.visualization import CytologyVisualizer
from tests.test_models.helpers import sample


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


def test_each_validation_leaves_the_pictures_of_its_first_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visualizer = CytologyVisualizer(name='val_pictures')
    visualizer.dataset_meta = dict(classes=('a', 'b', 'c'))
    monkeypatch.setattr(Visualizer, 'get_current_instance', lambda: visualizer)
    hook = CellVisualizationHook()
    outputs = []
    for name in ('x', 'y', 'z'):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.full((64, 64, 3), 200, np.uint8))
        found = sample([[4, 4, 24, 24]], [2])
        found.set_metainfo(dict(img_path=str(tmp_path / f'{name}.png')))
        outputs.append(found)
    runner = SimpleNamespace(work_dir=str(tmp_path), timestamp='20260101_000000', iter=0)
    for batch in range(2):
        hook.after_val_iter(runner, batch, {}, outputs[batch:])
    folder = tmp_path / '20260101_000000' / 'vis_data' / 'val_pictures'
    assert sorted(file.name for file in folder.iterdir()) == ['0_x.jpg', '1_y.jpg']
    assert cv2.imread(str(folder / '0_x.jpg')).std() > 1
