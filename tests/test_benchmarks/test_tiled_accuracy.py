"""The benchmark compares what is found in tiles with what is found in whole images."""

import csv
import importlib.util
import sys

import numpy as np
import pytest

from ldwsccd_mmdet.apis.tiles import tile_boxes
from ldwsccd_mmdet.datasets.coco_json import load_coco
from tests.test_apis.conftest import CLASSES, ROOT, save_trained
from tests.test_apis.disc_detector import DiscDetector, draw_discs

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
    assert (row['model'], row['seed'], row['images']) == ('ssd', '3', '2')
    assert 0 < int(row['cells']) <= len(load_coco(root / 'val.json')['annotations'])
    whole, tiled = float(row['AP50_whole']), float(row['AP50_tiled'])
    assert float(row['difference']) == pytest.approx(tiled - whole, abs=0.011)


def test_tile_borders_run_through_the_image(benchmark) -> None:
    """Whoever finds a disc in tiles finds it where it lies in the image."""
    image, boxes = draw_discs((200, 160), 8, seed=0)
    field, corner = benchmark.mirrored_field(image)
    assert field.shape == (320, 400, 3) and corner.tolist() == [100, 80]
    assert (field[80:240, 100:300] == image).all()
    tiles = tile_boxes((400, 320), (200, 160), 0.2)
    assert ((tiles[:, 0] > 100) & (tiles[:, 0] < 300)).any()


@pytest.mark.parametrize('overlap', [0.2, 1.0])
def test_boxes_are_those_of_the_image(benchmark, tmp_path, overlap: float) -> None:
    image, boxes = draw_discs((200, 160), 8, seed=0)
    found = benchmark.look(DiscDetector(), image, overlap, tmp_path).bboxes
    assert len(found) == len(boxes)
    assert all((np.abs(found - box).max(1) < 0.01).any() for box in boxes)


def test_cells_at_the_edge_do_not_count(benchmark) -> None:
    boxes = [[0, 5, 10, 10], [5, 5, 10, 10], [25, 5, 14, 10], [5, 15, 10, 15], [5, 5, 33, 20]]
    rows = [dict(image_id=7, bbox=box) for box in boxes]
    coco = dict(images=[dict(id=7, width=40, height=30)], annotations=rows)
    found = benchmark.without_cut_cells(coco)['annotations']
    assert [row['iscrowd'] for row in found] == [1, 0, 1, 1, 1]
    assert 'iscrowd' not in rows[0]
