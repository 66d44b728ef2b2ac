"""The benchmark compares what is found in tiles with what is found in whole images."""

import csv
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ldwsccd_mmdet.datasets.coco_json import load_coco
from tests.test_apis.conftest import CLASSES, ROOT, save_trained

pytest.importorskip('sahi', reason="needs pip install 'ldwsccd_mmdet[tiles]'")


@pytest.fixture
def benchmark(monkeypatch):
    path = ROOT / 'benchmarks' / 'tiled_accuracy.py'
    spec = importlib.util.spec_from_file_location('tiled_accuracy_benchmark', path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_a_row_for_each_checkpoint(benchmark, make_tiny_coco, tmp_path, monkeypatch) -> None:
    root = make_tiny_coco(tmp_path / 'data', 'val', num_images=2, classes=CLASSES)
    folder = tmp_path / 'ssd' / 'seed_3'
    folder.mkdir(parents=True)
    trained = save_trained(folder, 'configs/ldwsccd/ssd256-narrow_bccd.py')
    out = tmp_path / 'out.csv'
    arguments = [trained.checkpoint, '--ann-file', str(root / 'val.json')]
    arguments += ['--images', str(root / 'images'), '--csv', str(out)]
    monkeypatch.setattr(sys, 'argv', ['tiled_accuracy.py', *arguments])
    benchmark.main()
    rows = list(csv.DictReader(out.open()))
    assert [row['overlap'] for row in rows] == ['0.2', '0.4']
    row = rows[0]
    assert (row['model'], row['seed'], row['images'], row['tile']) == ('ssd', '3', '2', '0.75')
    assert row['cells'] == str(len(load_coco(root / 'val.json')['annotations']))
    whole, tiled = float(row['AP50_whole']), float(row['AP50_tiled'])
    assert float(row['difference']) == pytest.approx(tiled - whole, abs=0.011)


def test_cells_have_the_size_of_training_in_tiles(benchmark, tmp_path) -> None:
    """A tile of three quarters of the image goes through an input of three quarters."""
    trained = save_trained(tmp_path, 'configs/ldwsccd/ssd256-narrow_bccd.py')
    small = benchmark.shrunk_inferencer(Path(trained.checkpoint), 0.75)
    image = np.zeros((192, 192, 3), np.uint8)
    cv2.circle(image, (96, 96), 30, (200, 180, 220), -1)
    sizes = []
    forward = small.model.extract_feat
    small.model.extract_feat = lambda inputs: sizes.append(inputs.shape[-2:]) or forward(inputs)
    small.detect([image])
    assert [tuple(size) for size in sizes] == [(192, 192)]
