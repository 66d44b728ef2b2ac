"""Slides: read by regions, at the resolution of training, tissue first, in bounded memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ldwsccd_mmdet.apis import PredictionSettings, Tiling, find_sources, predict_images
from ldwsccd_mmdet.apis.slides import Slide, is_slide, tissue_of, tissue_tiles
from ldwsccd_mmdet.errors import ImageFileError, InputError
from tests.test_apis.disc_detector import DiscDetector, draw_discs
from tests.test_apis.scanner_slides import SIZE, write_mrxs, write_ndpi, write_svs

WHY = "needs pip install 'ldwsccd_mmdet[tiles,wsi,dev]'"
pytest.importorskip('sahi', reason=WHY)
openslide = pytest.importorskip('openslide', reason=WHY)
tifffile = pytest.importorskip('tifffile', reason=WHY)

ROOT = Path(__file__).resolve().parents[2]
SCANNERS = {
    'aperio': (write_svs, 'a.svs'),
    'hamamatsu': (write_ndpi, 'a.ndpi'),
    'mirax': (write_mrxs, 'a.mrxs'),
}


def write_slide(path: Path, image: np.ndarray, mpp: float | None = 0.5, levels: int = 1) -> Path:
    """Write a BGR image as a tiled, pyramidal TIFF."""
    per_cm = 0 if mpp is None else 1e4 / mpp
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level in range(levels):
            unit = {} if mpp is None else {'resolution': (per_cm, per_cm), 'resolutionunit': 3}
            file.write(
                np.ascontiguousarray(image[..., ::-1]),
                photometric='rgb',
                tile=(128, 128),
                subfiletype=int(level > 0),
                metadata=None,
                **unit,
            )
            image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            per_cm /= 2
    return path


def test_reads_regions(tmp_path: Path) -> None:
    image, _ = draw_discs((700, 500), 40)
    slide = Slide(write_slide(tmp_path / 'a.svs', image, levels=3))
    assert slide.size == (700, 500) and slide.mpp == pytest.approx((0.5, 0.5))
    assert np.array_equal(slide.read((100, 50, 228, 178), (128, 128)), image[50:178, 100:228])
    half = slide.read((0, 0, 512, 256), (256, 128))
    expected = cv2.resize(image[:256, :512], (256, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(half.astype(int) - expected).mean() < 3
    overview = slide.overview(100)
    assert overview is not None and overview.shape == (71, 100, 3)


@pytest.mark.parametrize('workers', [0, 2])
def test_finds_the_cells_of_a_slide(tmp_path: Path, workers: int) -> None:
    image, boxes = draw_discs((700, 500), 60)
    write_slide(tmp_path / 'a.svs', image, levels=2)
    settings = PredictionSettings(0.0, Tiling((256, 256), 0.25, 2, workers))
    out = tmp_path / 'out'
    run = predict_images(DiscDetector(mpp=0.5), find_sources([tmp_path / 'a.svs']), out, settings)
    assert run.cells == len(boxes)
    assert cv2.imread(str(out / 'pictures' / 'a.svs.jpg')) is not None
    first = (out / 'cells.csv').read_text().splitlines()[1].split(',')
    assert float(first[7]) == pytest.approx(0.5 * float(first[3]), abs=0.01)


def test_a_slide_of_another_resolution_is_brought_to_that_of_training(tmp_path: Path) -> None:
    image, boxes = draw_discs((300, 200), 20, (8, 14))
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    write_slide(tmp_path / 'a.svs', large, mpp=0.25)
    detector = DiscDetector(mpp=0.5)
    settings = PredictionSettings(0.0, Tiling((128, 128), 0.25, 2, 0))
    run = predict_images(detector, find_sources([tmp_path / 'a.svs']), tmp_path / 'out', settings)
    assert run.cells == len(boxes) and detector.pixels < 3 * 300 * 200


@pytest.mark.parametrize('vendor', SCANNERS)
def test_reads_the_slides_of_scanners(tmp_path: Path, vendor: str) -> None:
    image, _ = draw_discs(SIZE, 60)
    write, name = SCANNERS[vendor]
    slide = Slide(write(tmp_path / name, image, 0.25))
    assert openslide.OpenSlide(tmp_path / name).properties['openslide.vendor'] == vendor
    assert slide.size == SIZE and slide.mpp == (0.25, 0.25) and slide.origin == (0, 0)
    part = image[40:440, 100:500]
    for side in (400, 200, 100):
        expected = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
        found = slide.read((100, 40, 500, 440), (side, side))
        assert np.abs(found.astype(int) - expected).mean() < 2


@pytest.mark.parametrize('mpp', [0.25, 0.5])
@pytest.mark.parametrize('vendor', SCANNERS)
def test_finds_the_cells_of_scanners(tmp_path: Path, vendor: str, mpp: float) -> None:
    image, boxes = draw_discs(SIZE, 60, (8, 14))
    write, name = SCANNERS[vendor]
    write(tmp_path / name, image, 0.25)
    settings = PredictionSettings(0.0, Tiling((256, 256), 0.25, 2, 0))
    out = tmp_path / 'out'
    predict_images(DiscDetector(mpp=mpp), find_sources([tmp_path]), out, settings)
    assert farthest(coco_boxes(out), boxes) <= 1 + mpp / 0.25


def test_a_slide_that_was_scanned_in_part(tmp_path: Path) -> None:
    """QuPath shows the scanned part alone: its boxes begin there, all others at the slide's."""
    image = np.full((SIZE[1], SIZE[0], 3), (225, 205, 235), np.uint8)
    image[250:490, 250:730], boxes = draw_discs((480, 240), 30, (8, 14))
    slide = Slide(write_mrxs(tmp_path / 'a.mrxs', image, 0.25, [(0, 0), (1, 0), (0, 1), (0, 2)]))
    assert slide.size == SIZE and slide.origin == pytest.approx((240, 240), abs=3)
    assert (slide.read((0, 0, 230, 230), (115, 115)) == 255).all()  # as glass
    detector = DiscDetector(mpp=0.25)
    settings = PredictionSettings(0.0, Tiling((128, 128), 0.25, 1, 0))
    out = tmp_path / 'out'
    predict_images(detector, find_sources([tmp_path / 'a.mrxs']), out, settings)
    assert farthest(coco_boxes(out), boxes + 250) <= 2 and detector.calls < 20
    shown = boxes + 250 - np.tile(slide.origin, 2)
    assert farthest(qupath_boxes(out / 'geojson' / 'a.mrxs.geojson'), shown) <= 2


def coco_boxes(out: Path) -> np.ndarray:
    rows = np.array([row['bbox'] for row in json.loads((out / 'results.json').read_text())])
    return np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:]])


def qupath_boxes(file: Path) -> np.ndarray:
    features = json.loads(file.read_text())['features']
    rings = [feature['geometry']['coordinates'][0] for feature in features]
    return np.array([[*ring[0], *ring[2]] for ring in rings])


def farthest(found: np.ndarray, boxes: np.ndarray) -> float:
    """How far an edge is from where it should be; each box is found once, or it is an error."""
    gaps = np.abs(found[:, None] - boxes).max(2)
    assert len(found) == len(boxes) == len(set(gaps.argmin(1)))
    return gaps.min(1).max()


def test_empty_glass_is_not_looked_at(tmp_path: Path) -> None:
    image = np.full((512, 2048, 3), 243, np.uint8)
    image[100:300, 1500:1800] = draw_discs((300, 200), 12)[0]
    write_slide(tmp_path / 'a.svs', image, levels=3)
    seen = {}
    for all_tiles in (False, True):
        detector = DiscDetector()
        settings = PredictionSettings(0.0, Tiling((256, 256), 0.2, 1, 0, tissue=not all_tiles))
        out = tmp_path / f'out{all_tiles}'
        run = predict_images(detector, find_sources([tmp_path / 'a.svs']), out, settings)
        seen[all_tiles] = (run.cells, detector.calls)
    assert seen[True][0] == seen[False][0] == 12 and seen[False][1] < seen[True][1] / 2


def test_tissue() -> None:
    image = np.full((60, 80, 3), 240, np.uint8)
    image[:, :5] = 0  # the edge of a scan
    image[20:30, 40:50] = (150, 60, 140)
    assert tissue_of(image).sum() == 100
    tiles = np.array([[0, 0, 200, 300], [400, 0, 800, 300], [300, 100, 500, 300]])
    assert tissue_tiles(image, (800, 600), tiles).tolist() == [False, True, True]


def test_one_line_for_each_fault(tmp_path: Path) -> None:
    image, _ = draw_discs((300, 200), 4)
    tiled, whole = PredictionSettings(0.1, Tiling((128, 128), workers=0)), PredictionSettings(0.1)
    plain = find_sources([write_slide(tmp_path / 'plain.svs', image, mpp=None)])
    with pytest.raises(InputError, match=r'micrometres.*--mpp 0\.25'):
        predict_images(DiscDetector(), plain, tmp_path / 'a', tiled)
    with pytest.raises(InputError, match='is a slide.*--tile auto'):
        predict_images(DiscDetector(), plain, tmp_path / 'b', whole)
    known = tmp_path / 'a.svs'  # its cells would be lost with the folder: it is not looked at
    write_slide(known, image)
    detector = DiscDetector()
    with pytest.raises(InputError, match='micrometres'):
        predict_images(detector, find_sources([known, plain[0].path]), tmp_path / 'a', tiled)
    assert detector.calls == 0 and not (tmp_path / 'a').exists()
    given = PredictionSettings(0.1, tiled.tiling, mpp=0.25)
    assert predict_images(DiscDetector(), plain, tmp_path / 'c', given).cells == 4
    bad = tmp_path / 'bad.svs'
    bad.write_bytes(b'no slide')
    with pytest.raises(ImageFileError, match="bad.svs' cannot be opened"):
        Slide(bad)
    mirax = write_mrxs(tmp_path / 'b.mrxs', np.full((256, 256, 3), 200, np.uint8), 0.25)
    shutil.rmtree(tmp_path / 'b')
    with pytest.raises(ImageFileError, match="b.mrxs' cannot be opened .* folder 'b' beside it"):
        Slide(mirax)
    run = predict_images(
        DiscDetector(), find_sources([bad, *[s.path for s in plain]]), tmp_path / 'd', given
    )
    assert set(run.failed) == {'bad.svs'} and run.done == ['plain.svs']


def test_a_large_tiff_is_a_slide(tmp_path: Path) -> None:
    for side, slide in ((10_100, True), (900, False)):
        file = tmp_path / f'{side}.tif'
        tifffile.imwrite(file, np.zeros((16, side), np.uint8), bigtiff=side > 9999, tile=(16, 16))
        assert is_slide(file) is slide
    (tmp_path / 'no.tif').write_bytes(b'II*\0')
    assert not is_slide(tmp_path / 'no.tif') and is_slide('a.NDPI')


MEMORY = """
import resource, sys
from pathlib import Path
from ldwsccd_mmdet.apis import PredictionSettings, Tiling, find_sources, predict_images
from tests.test_apis.disc_detector import DiscDetector

folder = Path(sys.argv[1])
settings = PredictionSettings(0.0, Tiling((4096, 4096), 0.05, 1, 1))
run = predict_images(DiscDetector(), find_sources([folder / 'a.tif']), folder / 'out', settings)
kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
print(run.cells, sum(resource.getrusage(kind).ru_maxrss for kind in kinds) // 1024)
"""


HUGE, PATCH = 100_000, 1024
FULL = ((0, 0), (50, 60), (96, 90))  # row and column of what is not empty; tifffile wants the first


def write_huge_slide(path: Path, overview: bool) -> int:
    """100,000 x 100,000 px, 30 GB as pixels, sparse on disk; returns how many cells it has.

    With ``overview`` it has a second level of 3125 px, as slides of scanners have.
    """
    patch, boxes = draw_discs((PATCH, PATCH), 40, (20, 40))
    per_row = -(-HUGE // PATCH)
    rgb = np.ascontiguousarray(patch[..., ::-1])
    tiles = (
        rgb if (row, column) in FULL else None
        for row in range(per_row)
        for column in range(per_row)
    )
    layout = dict(photometric='rgb', metadata=None)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            tiles,
            shape=(HUGE, HUGE, 3),
            dtype=np.uint8,
            tile=(PATCH, PATCH),
            resolution=(4e4, 4e4),
            resolutionunit=3,
            **layout,
        )
        if overview:
            small = np.full((HUGE // 32, HUGE // 32, 3), 245, np.uint8)
            side = PATCH // 32
            for row, column in FULL:
                shrunk = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
                small[side * row : side * (row + 1), side * column : side * (column + 1)] = shrunk
            file.write(small, tile=(256, 256), subfiletype=1, **layout)
    return len(FULL) * len(boxes)


@pytest.mark.slow
@pytest.mark.parametrize('overview', [True, False])  # a few tiles are read; every tile is
def test_a_huge_slide_needs_little_memory(tmp_path: Path, overview: bool) -> None:
    """Finding tissue, tiles and prediction together stay below 2 GiB, reading process included."""
    expected = write_huge_slide(tmp_path / 'a.tif', overview)
    assert (tmp_path / 'a.tif').stat().st_size < 60e6
    done = subprocess.run(
        [sys.executable, '-c', MEMORY, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cells, megabytes = map(int, done.stdout.split())
    assert cells == expected and megabytes < 2048
