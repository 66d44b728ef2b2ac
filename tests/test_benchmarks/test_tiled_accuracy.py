"""The benchmark compares what is found in tiles with what is found in whole images."""

import csv
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ldwsccd_mmdet.apis.slides import ImageField
from ldwsccd_mmdet.apis.tiles import tile_boxes
from ldwsccd_mmdet.datasets.coco_json import load_coco
from tests.test_apis.conftest import CLASSES, ROOT, save_trained
from tests.test_apis.disc_detector import DiscDetector, draw_discs

pytest.importorskip('sahi', reason="needs pip install 'ldwsccd_mmdet[tiles]'")


def field_of(picture: np.ndarray, folder: Path) -> ImageField:
    """The picture as a file that is read region by region."""
    cv2.imwrite(str(folder / 'field.png'), picture)
    return ImageField(folder / 'field.png')


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
    fields = ['--fields', '--data', 'x', '--overlap', '0.3']
    monkeypatch.setattr(sys, 'argv', ['tiled_accuracy.py', *arguments, *fields])
    benchmark.main()
    *rows, other = list(csv.DictReader(out.open()))  # those of other data stay
    assert (other['data'], other['surroundings'], other['overlap']) == ('x', 'real', '0.3')
    assert [row['overlap'] for row in rows] == ['0.2', '0.4']
    assert {(row['data'], row['surroundings']) for row in rows} == {('bccd', 'mirrored')}
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
    field, corner = benchmark.mirrored_field(image)
    around = field_of(field, tmp_path)
    found = benchmark.look(DiscDetector(), image, around, corner, overlap).bboxes
    assert len(found) == len(boxes)
    assert all((np.abs(found - box).max(1) < 0.01).any() for box in boxes)


@pytest.mark.parametrize('overlap', [0.3, 1.0])
def test_the_middle_of_a_field_is_the_image(benchmark, tmp_path, overlap: float) -> None:
    field, boxes = draw_discs((400, 320), 24, seed=1)
    image, corner = benchmark.middle(field)
    assert image.shape == (160, 200, 3) and corner.tolist() == [100, 80]
    assert (image == field[80:240, 100:300]).all()
    rows = [dict(image_id=1, bbox=[*box[:2], *(box[2:] - box[:2])], area=1) for box in boxes]
    coco = dict(images=[dict(id=1, width=400, height=320)], annotations=rows)
    truth = benchmark.without_cut_cells(benchmark.middle_truth(coco))
    assert truth['images'] == [dict(id=1, width=200, height=160)]
    whole = [row['bbox'] for row in truth['annotations'] if not row['iscrowd']]
    inside = [
        box - np.tile(corner, 2)
        for box in boxes
        if (box[:2] > corner + 2).all() and (box[2:] < corner + [198, 158]).all()
    ]
    assert 0 < len(whole) == len(inside) < len(truth['annotations']) < len(boxes)
    around = field_of(field, tmp_path)
    found = benchmark.look(DiscDetector(), image, around, corner, overlap).bboxes
    assert all((np.abs(found - box).max(1) < 0.01).any() for box in inside)


def test_cells_at_the_edge_do_not_count(benchmark) -> None:
    boxes = [[0, 5, 10, 10], [5, 5, 10, 10], [25, 5, 14, 10], [5, 15, 10, 15], [5, 5, 33, 20]]
    rows = [dict(image_id=7, bbox=box) for box in boxes]
    coco = dict(images=[dict(id=7, width=40, height=30)], annotations=rows)
    found = benchmark.without_cut_cells(coco)['annotations']
    assert [row['iscrowd'] for row in found] == [1, 0, 1, 1, 1]
    assert 'iscrowd' not in rows[0]
