"""Tiles cover the field, and each cell is found once, on borders as elsewhere."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from ldwsccd_mmdet.apis import DetectorInfo, Tiling, detect_tiled
from ldwsccd_mmdet.apis.slides import ImageField
from ldwsccd_mmdet.apis.tiled_detection import tile_size
from ldwsccd_mmdet.apis.tiles import merge_tiles, tile_boxes
from ldwsccd_mmdet.datasets.coco_json import index_truth
from ldwsccd_mmdet.errors import InputError
from ldwsccd_mmdet.evaluation import Detections, evaluate_detections
from tests.test_apis.disc_detector import CLASSES, DiscDetector, draw_discs

pytest.importorskip('sahi', reason="needs pip install 'ldwsccd_mmdet[tiles]'")


@pytest.mark.parametrize('size', [(64, 64), (65, 200), (300, 190), (10, 500)])
@pytest.mark.parametrize('overlap', [0.0, 0.2, 0.5])
def test_tiles_cover_the_field(size: tuple[int, int], overlap: float) -> None:
    tiles = tile_boxes(size, (64, 48), overlap)
    covered = np.zeros(size[::-1], bool)
    for x1, y1, x2, y2 in tiles:
        assert (x2 - x1, y2 - y1) == (min(64, size[0]), min(48, size[1]))
        covered[y1:y2, x1:x2] = True
    assert covered.all() and tiles.min() == 0 and (tiles.max(0)[2:] == size).all()
    assert len(np.unique(tiles, axis=0)) == len(tiles)


@pytest.mark.parametrize('overlap', [-0.1, 1.0, 2.0])
def test_refuses_an_overlap_out_of_range(overlap: float) -> None:
    with pytest.raises(InputError, match='--overlap'):
        tile_boxes((100, 100), (64, 64), overlap)


def matched(found: np.ndarray, boxes: np.ndarray) -> int:
    """How many boxes have a found one that is equal."""
    return sum((np.abs(found - box).max(1) < 0.01).any() for box in boxes)


@pytest.mark.parametrize('seed', range(4))
def test_each_cell_is_found_once(tmp_path, seed: int) -> None:
    """Tiled as whole: the same boxes, none twice, none in part."""
    image, boxes = draw_discs((400, 300), 60, seed=seed)
    file = tmp_path / 'a.png'
    cv2.imwrite(str(file), image)
    detector = DiscDetector()
    cells = detect_tiled(detector, ImageField(file), Tiling((128, 128), 0.25))
    whole = detector.detect([image])[0]
    assert len(whole) == len(boxes) == len(cells)
    assert matched(cells.bboxes, boxes) == len(boxes)
    assert cells.size == (400, 300) and cells.classes == whole.classes


class UnsureDetector(DiscDetector):
    """Errs by the look of a disc, wherever it lies: misses, wrong classes, boxes a bit off."""

    def detect(self, images):
        results = []
        for image, cells in zip(images, super().detect(images), strict=True):
            centres = ((cells.bboxes[:, :2] + cells.bboxes[:, 2:]) / 2).astype(int)
            look = image[centres[:, 1], centres[:, 0], 0].astype(int)
            labels = np.where(look % 5 == 0, 1 - cells.labels, cells.labels)
            boxes = cells.bboxes + (look % 4)[:, None]
            scores = cells.scores * (0.5 + look / 400)
            unsure = replace(cells, bboxes=boxes, labels=labels, scores=scores)
            results.append(unsure[look[np.argsort(-scores, kind='stable')] % 7 != 0])
        return results


def test_ap_of_tiles_is_that_of_the_whole(tmp_path) -> None:
    """AP50 tiled equals AP50 whole within 0.5, on fields that fit."""
    truth: dict = {'images': [], 'annotations': [], 'categories': []}
    truth['categories'] = [{'id': i, 'name': name} for i, name in enumerate(CLASSES, 1)]
    found: dict[str, dict] = {'whole': {}, 'tiled': {}}
    detector = UnsureDetector()
    for seed in range(4):
        image, boxes = draw_discs((400, 300), 60, seed=seed)
        for number, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):  # each has a look of its own
            part = image[y1:y2, x1:x2]
            part[part[..., 0] == 90] = (20 + 2 * number, 20, 80)
            kind = int((x2 - x1) >= 20) + 1
            row = {'id': len(truth['annotations']) + 1, 'image_id': seed, 'category_id': kind}
            size = [int(x2 - x1), int(y2 - y1)]
            truth['annotations'].append(
                {**row, 'bbox': [int(x1), int(y1), *size], 'area': size[0] * size[1], 'iscrowd': 0}
            )
        truth['images'].append({'id': seed, 'file_name': f'{seed}', 'width': 400, 'height': 300})
        file = tmp_path / f'{seed}.png'
        cv2.imwrite(str(file), image)
        cells = {
            'whole': detector.detect([image])[0],
            'tiled': detect_tiled(detector, ImageField(file), Tiling((128, 128), 0.25)),
        }
        for way, part in cells.items():
            found[way][seed] = Detections(part.bboxes, part.scores, part.labels)
    ap = {
        way: 100 * evaluate_detections(index_truth(truth, 'drawn'), rows, CLASSES).mean_ap
        for way, rows in found.items()
    }
    assert 40 < ap['whole'] < 95  # it does err
    assert abs(ap['tiled'] - ap['whole']) < 0.5


def test_says_how_much_of_a_field_was_looked_at(tmp_path) -> None:
    file = tmp_path / 'a.png'
    cv2.imwrite(str(file), draw_discs((200, 100), 5)[0])
    parts: list[float] = []
    tiling = Tiling((50, 50), 0.0, batch_size=3)
    detect_tiled(DiscDetector(), ImageField(file), tiling, progress=parts.append)
    assert parts == pytest.approx([3 / 8, 6 / 8, 1])


def test_a_cell_larger_than_the_overlap_is_joined(tmp_path) -> None:
    image = np.full((100, 200, 3), 230, np.uint8)
    cv2.rectangle(image, (50, 30), (149, 69), (40, 40, 40), -1)
    file = tmp_path / 'a.png'
    cv2.imwrite(str(file), image)
    cells = detect_tiled(DiscDetector(), ImageField(file), Tiling((110, 100), 0.2))
    assert len(cells) == 1 and np.allclose(cells.bboxes[0], [50, 30, 150, 70], atol=1)


@pytest.mark.parametrize('gap', [0.0, 1.5])  # a network does not meet the edge exactly
def test_a_cell_that_one_tile_sees_whole_is_not_found_in_part(gap: float) -> None:
    """The last tile is moved back, and shares more with the one before than the overlap."""
    size, overlap = (300, 100), (32, 20)
    tiles = tile_boxes(size, (160, 100), 0.2)
    assert tiles[:, 0].tolist() == [0, 128, 140]
    whole, part = [132.0, 20, 200, 80], [140 + gap, 20, 200, 80]
    boxes = np.array([whole, part, [20.0, 20, 60, 60]])
    tiles = tiles[[1, 2, 0]]
    found = merge_tiles(
        boxes, np.array([0.6, 0.9, 0.8]), np.zeros(3, int), tiles, size, overlap, 0.45
    )
    assert found[0].tolist() == [[20, 20, 60, 60], whole]


def test_two_parts_that_share_most_of_a_cell_are_joined() -> None:
    tiles = np.array([[0, 0, 160, 100], [128, 0, 288, 100]])
    boxes = np.array([[122.0, 20, 160, 60], [128.0, 20, 166, 60]])
    found = merge_tiles(
        boxes, np.array([0.6, 0.9]), np.zeros(2, int), tiles, (288, 100), (32, 20), 0.45
    )
    assert found[0].tolist() == [[122, 20, 166, 60]] and found[1].tolist() == [0.9]


def test_a_joined_cell_ends_as_its_best_parts_do() -> None:
    """A poor part, which sticks out on all sides, changes nothing but where no other goes on."""
    tiles = np.array([[0, 0, 160, 100], [128, 0, 288, 100], [128, 0, 288, 100]])
    best, right, poor = [100.0, 20, 160, 60], [128.0, 22, 170, 58], [128.0, 5, 200, 90]
    size, overlap = (288, 100), (32, 20)
    scores = np.array([0.9, 0.6, 0.2])
    found = merge_tiles(
        np.array([best, right, poor]), scores, np.zeros(3, int), tiles, size, overlap, 0.45
    )
    assert found[0].tolist() == [[100, 20, 170, 60]] and found[1].tolist() == [0.9]


def test_a_cell_across_three_tiles_goes_on_to_the_last() -> None:
    tiles = np.array([[0, 0, 100, 100], [80, 0, 180, 100], [160, 0, 260, 100]])
    boxes = np.array([[70.0, 20, 100, 80], [80.0, 20, 180, 80], [160.0, 20, 200, 80]])
    scores = np.array([0.5, 0.9, 0.6])
    found = merge_tiles(boxes, scores, np.zeros(3, int), tiles, (260, 100), (20, 20), 0.45)
    assert found[0].tolist() == [[70, 20, 200, 80]]


def test_is_brought_to_the_resolution_of_training(tmp_path) -> None:
    """A field of half the micrometres a pixel is read in tiles of twice the pixels."""
    image, boxes = draw_discs((300, 200), 20, (8, 14))
    file = tmp_path / 'a.png'
    cv2.imwrite(str(file), cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST))
    detector = DiscDetector(mpp=0.5)
    cells = detect_tiled(detector, ImageField(file), Tiling((128, 128), 0.25), (0.25, 0.25))
    assert len(cells) == 20 and cells.mpp == (0.25, 0.25)
    assert detector.pixels < 2.5 * 300 * 200  # not of the 4 times as many pixels of the file
    assert np.abs(cells.bboxes[:, None] - 2 * boxes[None]).max(-1).min(0).max() <= 3


def test_merging_nothing() -> None:
    empty = np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)
    boxes, scores, labels = merge_tiles(*empty, np.zeros((0, 4)), (9, 9), (2, 2), 0.5)
    assert len(boxes) == len(scores) == len(labels) == 0


def test_classes_do_not_suppress_each_other() -> None:
    box, tile = np.array([[10.0, 10, 30, 30]] * 2), np.array([[0, 0, 100, 100]] * 2)
    scores, labels = np.array([0.9, 0.8]), np.array([0, 1])
    found = merge_tiles(box, scores, labels, tile, (100, 100), (20, 20), 0.5)
    assert len(found[0]) == 2 and sorted(found[2].tolist()) == [0, 1]
    assert len(merge_tiles(box, scores, 0 * labels, tile, (100, 100), (20, 20), 0.5)[0]) == 1


@pytest.mark.parametrize(
    ('text', 'info', 'size'),
    [
        ('640', {}, (640, 640)),
        ('1269x941', {}, (1269, 941)),
        ('auto', {'field_size': (100, 80)}, (100, 80)),
        ('auto', {'input_size': (512, 512)}, (512, 512)),
    ],
)
def test_tile_size(text: str, info: dict, size: tuple[int, int]) -> None:
    assert tile_size(text, DetectorInfo('a', 'b', ('c',), **info)) == size


@pytest.mark.parametrize('text', ['', 'big', '0', '10x', '1x2x3', '-5', '12.5', 'auto'])
def test_refuses_other_tile_sizes(text: str) -> None:
    with pytest.raises(InputError, match='--tile'):
        tile_size(text, DetectorInfo('a', 'b', ('c',)))
