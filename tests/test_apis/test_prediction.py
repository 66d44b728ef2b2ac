"""What a run of prediction writes, keeps, refuses and survives."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ldwsccd_mmdet.apis import (
    CellDetections,
    PredictionSettings,
    Tiling,
    find_sources,
    predict_images,
)
from ldwsccd_mmdet.apis.prediction import read_ids
from ldwsccd_mmdet.apis.result_files import safe_cell, write_geojson, write_whole
from ldwsccd_mmdet.errors import DatasetError, InputError
from tests.test_apis.disc_detector import CLASSES, DiscDetector, draw_discs, write_image

SETTINGS = PredictionSettings(0.5)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, two of them of one name in two folders, with 4, 5 and 6 cells."""
    folder = tmp_path / 'photos'
    for index, name in enumerate(('a.png', 'deep/a.png', 'deep/b.jpg')):
        write_image(folder / name, number=4 + index, seed=index)
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline='', encoding='utf-8') as text:
        return list(csv.DictReader(text))


def test_writes_every_kind_of_result(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    run = predict_images(DiscDetector(), find_sources([photos]), out, SETTINGS)
    assert run.done == ['a.png', 'deep/a.png', 'deep/b.jpg'] and run.cells == 15
    cells = rows(out / 'cells.csv')
    assert len(cells) == 15 and {row['image'] for row in cells} == set(run.done)
    assert all(row['x_um'] == '' and float(row['width_px']) > 0 for row in cells)
    results = json.loads((out / 'results.json').read_text())
    images = json.loads((out / 'images.json').read_text())
    assert len(results) == 15 and {row['image_id'] for row in results} == {1, 2, 3}
    assert [image['file_name'] for image in images['images']] == run.done
    assert [category['name'] for category in images['categories']] == list(CLASSES)
    counts = rows(out / 'counts.csv')
    assert [row['all'] for row in counts] == ['4', '5', '6', '15']
    assert sum(int(counts[-1][name]) for name in CLASSES) == 15
    for name in run.done:
        assert cv2.imread(str(out / 'pictures' / f'{name}.jpg')) is not None
        assert (out / 'geojson' / f'{name}.geojson').is_file()
    assert not (out / 'failed.csv').exists() and not list(out.rglob('*.part'))


def test_boxes_are_those_of_the_file(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    predict_images(DiscDetector(), find_sources([photos / 'a.png']), out, SETTINGS)
    expected = DiscDetector().detect([cv2.imread(str(photos / 'a.png'))])[0]
    found = np.array([row['bbox'] for row in json.loads((out / 'results.json').read_text())])
    assert np.allclose(np.hstack([found[:, :2], found[:, :2] + found[:, 2:]]), expected.bboxes)


def test_micrometres(photos: Path, tmp_path: Path) -> None:
    settings = PredictionSettings(0.5, mpp=0.25)
    predict_images(DiscDetector(), find_sources([photos]), tmp_path / 'out', settings)
    for row in rows(tmp_path / 'out' / 'cells.csv'):
        for key in ('x', 'y', 'width', 'height'):
            assert float(row[f'{key}_um']) == pytest.approx(
                0.25 * float(row[f'{key}_px']), abs=2e-3
            )


def test_the_score_cut_counts(photos: Path, tmp_path: Path) -> None:
    sources = find_sources([photos])
    found = DiscDetector().detect([cv2.imread(str(source.path)) for source in sources])
    scores = np.concatenate([cells.scores for cells in found])
    cut = float(np.median(scores))
    run = predict_images(DiscDetector(), sources, tmp_path / 'out', PredictionSettings(cut))
    assert run.cells == (scores >= cut).sum() < 15


def test_geojson_is_as_qupath_reads_it(tmp_path: Path) -> None:
    cells = CellDetections(
        np.array([[1.0, 2, 11, 22], [5, 5, 6, 7]]),
        np.array([0.5, 0.9]),
        np.array([0, 1]),
        ('a', 'b "c"'),
        (40, 30),
    )
    write_geojson(tmp_path / 'a.geojson', cells)
    content = json.loads((tmp_path / 'a.geojson').read_text())
    assert content['type'] == 'FeatureCollection' and len(content['features']) == 2
    for feature in content['features']:
        assert set(feature) == {'type', 'geometry', 'properties'} and feature['type'] == 'Feature'
        geometry, properties = feature['geometry'], feature['properties']
        assert geometry['type'] == 'Polygon' and len(geometry['coordinates']) == 1
        ring = geometry['coordinates'][0]
        assert len(ring) == 5 and ring[0] == ring[-1]
        assert all(len(p) == 2 and all(isinstance(v, (int, float)) for v in p) for p in ring)
        area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:], strict=False)) / 2
        assert area > 0
        assert properties['objectType'] in ('detection', 'annotation', 'tile', 'cell')
        kind = properties['classification']
        assert isinstance(kind['name'], str) and len(kind['color']) == 3
        assert all(isinstance(v, int) and 0 <= v <= 255 for v in kind['color'])
        assert all(
            isinstance(k, str) and isinstance(v, float)
            for k, v in properties['measurements'].items()
        )
    write_geojson(tmp_path / 'a.geojson', cells[:0])
    assert json.loads((tmp_path / 'a.geojson').read_text())['features'] == []
    best = content['features'][0]
    assert best['properties']['classification']['name'] == 'b "c"'
    assert best['geometry']['coordinates'][0][2] == [6.0, 7.0]


def test_goes_on_where_it_was_stopped(photos: Path, tmp_path: Path) -> None:
    out, sources = tmp_path / 'out', find_sources([photos])

    class Stops(DiscDetector):
        def detect(self, images):
            if self.calls == 1:
                raise KeyboardInterrupt
            return super().detect(images)

    with pytest.raises(KeyboardInterrupt):
        predict_images(Stops(), sources, out, SETTINGS)
    assert not (out / 'results.json').exists()
    detector = DiscDetector()
    run = predict_images(detector, sources, out, SETTINGS)
    assert run.kept == 1 and detector.calls == 2 and run.cells == 15
    (out / 'cells' / 'a.png.npz').write_bytes(b'half')  # cut off while it was written
    detector = DiscDetector()
    again = predict_images(detector, sources, out, SETTINGS)
    assert detector.calls == 1 and again.kept == 2 and again.cells == 15


def test_images_of_which_less_is_read_than_they_hold(photos: Path, tmp_path: Path) -> None:
    """12 bits in 16, and planes; a link to nothing is an image that cannot be read."""
    cv2.imwrite(str(photos / 'deep.png'), np.full((80, 100), 4000, np.uint16))
    planes = [Image.new('L', (100, 80), shade) for shade in (9, 99)]
    planes[0].save(photos / 'planes.tif', save_all=True, append_images=planes[1:])
    (photos / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    said: list[str] = []
    sources = find_sources([photos])
    run = predict_images(DiscDetector(), sources, tmp_path / 'out', SETTINGS, warn=said.append)
    assert list(run.failed) == ['gone.png']
    assert any(
        '1 images are of 16 bits that use 12' in text and 'deep.png' in text for text in said
    )
    assert any('1 images are of several pages' in text and 'planes.tif' in text for text in said)


def test_an_unreadable_image_does_not_lose_the_rest(photos: Path, tmp_path: Path) -> None:
    (photos / 'bad.jpg').write_bytes(b'\xff\xd8\xff no image')
    (photos / 'empty.png').write_bytes(b'')
    said: list[str] = []
    out = tmp_path / 'out'
    run = predict_images(DiscDetector(), find_sources([photos]), out, SETTINGS, warn=said.append)
    assert len(run.done) == 3 and run.cells == 15 and set(run.failed) == {'bad.jpg', 'empty.png'}
    assert len(said) == 2 and all('go on' in line and '\n' not in line for line in said)
    assert {row['image'] for row in rows(out / 'failed.csv')} == set(run.failed)
    write_image(photos / 'bad.jpg', number=3)
    (photos / 'empty.png').unlink()
    run = predict_images(DiscDetector(), find_sources([photos]), out, SETTINGS)
    assert run.kept == 3 and run.cells == 18 and not (out / 'failed.csv').exists()


def test_processes_share_the_images(photos: Path, tmp_path: Path) -> None:
    out, sources = tmp_path / 'out', find_sources([photos])
    first, second = DiscDetector(), DiscDetector()
    run = predict_images(first, sources, out, SETTINGS, rank=0, world_size=2)
    assert first.calls == 2 and run.waiting == 1
    run = predict_images(second, sources, out, SETTINGS, rank=1, world_size=2)
    assert second.calls == 1 and run.waiting == 0 and run.cells == 15
    assert len(rows(out / 'cells.csv')) == 15


def test_processes_share_what_failed(photos: Path, tmp_path: Path) -> None:
    """What one of them could not read is no image that the others wait for."""
    (photos / 'bad.jpg').write_bytes(b'no image')  # the second process has it
    out, sources = tmp_path / 'out', find_sources([photos])
    run = predict_images(DiscDetector(), sources, out, SETTINGS, rank=1, world_size=2)
    assert set(run.failed) == {'bad.jpg'} and run.waiting == 2
    run = predict_images(DiscDetector(), sources, out, SETTINGS, rank=0, world_size=2)
    assert set(run.failed) == {'bad.jpg'} and run.waiting == 0 and run.cells == 15
    assert [row['image'] for row in rows(out / 'failed.csv')] == ['bad.jpg']


def test_two_processes_that_end_together_lose_nothing(photos, tmp_path, monkeypatch) -> None:
    """One has listed what is done, then another finishes: its cells are in the files, too."""
    from ldwsccd_mmdet.apis import prediction

    out, sources = tmp_path / 'out', find_sources([photos])
    write_counts = prediction.write_counts
    other: list[str] = ['deep/a.png']

    def slow(path, *arguments) -> None:
        write_counts(path, *arguments)
        while other:
            name = other.pop()
            cells = DiscDetector().detect([cv2.imread(str(photos / name))])[0]
            cells.save(out / 'cells' / f'{name}.npz')

    monkeypatch.setattr(prediction, 'write_counts', slow)
    run = predict_images(DiscDetector(), sources, out, SETTINGS, rank=0, world_size=2)
    assert run.waiting == 0 and run.cells == len(rows(out / 'cells.csv')) == 15


def test_a_folder_that_another_process_is_just_claiming(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'predict.json.0a1b.part').write_text('{')
    assert predict_images(DiscDetector(), find_sources([photos]), out, SETTINGS).cells == 15


def test_refuses_the_folder_of_another_run(photos: Path, tmp_path: Path) -> None:
    out, sources = tmp_path / 'out', find_sources([photos])
    predict_images(DiscDetector(), sources, out, SETTINGS)
    with pytest.raises(InputError, match='another run .*score_thr: there 0.5, now 0.7'):
        predict_images(DiscDetector(), sources, out, PredictionSettings(0.7))
    with pytest.raises(InputError, match='another run .*model'):
        predict_images(DiscDetector(digest='other'), sources, out, SETTINGS)
    with pytest.raises(InputError, match='not empty'):
        predict_images(DiscDetector(), sources, photos, SETTINGS)
    blocked = tmp_path / 'file'
    blocked.write_text('')
    with pytest.raises(InputError, match='cannot be written'):
        predict_images(DiscDetector(), sources, blocked, SETTINGS)


def test_a_full_disk_is_one_line_and_keeps_what_is_done(photos, tmp_path, monkeypatch) -> None:
    save = CellDetections.save

    def full(self, path: Path) -> None:
        if path.name == 'b.jpg.npz':
            raise OSError(28, 'No space left on device')
        save(self, path)

    monkeypatch.setattr(CellDetections, 'save', full)
    out, sources = tmp_path / 'out', find_sources([photos])
    with pytest.raises(InputError, match='No space left.*b.jpg.*same command again'):
        predict_images(DiscDetector(), sources, out, SETTINGS)
    monkeypatch.undo()
    assert predict_images(DiscDetector(), sources, out, SETTINGS).kept == 2


@pytest.mark.parametrize('name', ['write_csv', '_write_one'])
def test_a_full_disk_wherever_it_is_met(photos, tmp_path, monkeypatch, name: str) -> None:
    def full(*arguments) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(f'ldwsccd_mmdet.apis.prediction.{name}', full)
    out, sources = tmp_path / 'out', find_sources([photos])
    with pytest.raises(InputError, match='No space left.*same command again') as error:
        predict_images(DiscDetector(), sources, out, SETTINGS)
    assert '\n' not in str(error.value)
    monkeypatch.undo()
    run = predict_images(DiscDetector(), sources, out, SETTINGS)
    assert run.cells == 15 and run.kept == (3 if name == 'write_csv' else 0)


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    def full(file) -> None:
        file.write('half')
        raise OSError(28, 'No space left on device')

    with pytest.raises(OSError):
        write_whole(tmp_path / 'a.csv', full)
    assert list(tmp_path.iterdir()) == []


def test_warns_once_of_large_images(tmp_path: Path) -> None:
    for index in range(3):
        write_image(tmp_path / 'in' / f'{index}.png', (400, 90), 3)
    said: list[str] = []
    sources = find_sources([tmp_path / 'in'])
    predict_images(DiscDetector(), sources, tmp_path / 'out', SETTINGS, warn=said.append)
    assert len(said) == 1 and '3 images' in said[0] and '--tile auto' in said[0]
    said.clear()
    pytest.importorskip('sahi', reason="needs pip install 'ldwsccd_mmdet[tiles]'")
    tiled = PredictionSettings(0.5, Tiling((64, 64), 0.5))
    predict_images(DiscDetector(), sources, tmp_path / 'out2', tiled, warn=said.append)
    assert said == []


def test_warns_once_of_cells_larger_than_the_overlap(tmp_path: Path) -> None:
    pytest.importorskip('sahi', reason="needs pip install 'ldwsccd_mmdet[tiles]'")
    for index in range(3):  # discs of 18 to 26 px
        image, _ = draw_discs((200, 150), 12, (9, 14), seed=index)
        (tmp_path / 'in').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / 'in' / f'{index}.png'), image)
    sources = find_sources([tmp_path / 'in'])
    said: list[str] = []
    few = PredictionSettings(0.5, Tiling((64, 64), 0.2))
    predict_images(DiscDetector(), sources, tmp_path / 'a', few, warn=said.append)
    (line,) = said
    assert '% of the cells are larger than what tiles share, --overlap 0.2' in line
    enough = float(re.search('--overlap (0.[0-9]+) lets', line).group(1))
    said.clear()
    more = PredictionSettings(0.5, Tiling((64, 64), enough))
    predict_images(DiscDetector(), sources, tmp_path / 'b', more, warn=said.append)
    assert said == []


def test_a_model_without_classes_or_a_tile_below_the_stride(photos: Path, tmp_path: Path) -> None:
    sources = find_sources([photos])
    with pytest.raises(InputError, match='no classes'):
        predict_images(DiscDetector(classes=()), sources, tmp_path / 'a', SETTINGS)
    small = PredictionSettings(0.5, Tiling((4, 4)))
    with pytest.raises(
        InputError, match="--tile: 4x4 px is smaller than the network's stride of 8"
    ):
        predict_images(DiscDetector(), sources, tmp_path / 'a', small)
    assert not (tmp_path / 'a').exists()


def test_ids_of_an_annotation_file(photos: Path, tmp_path: Path) -> None:
    ann = tmp_path / 'ann.json'
    content = {
        'images': [{'id': 70 + i, 'file_name': n} for i, n in enumerate(('a.png', 'b.jpg'))],
        'categories': [{'id': 9, 'name': 'large'}, {'id': 4, 'name': 'small'}],
        'annotations': [],
    }
    ann.write_text(json.dumps(content))
    ids = read_ids(ann, CLASSES)
    sources = find_sources([photos / 'deep' / 'b.jpg'])
    predict_images(DiscDetector(), sources, tmp_path / 'out', SETTINGS, ids)
    results = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert {row['image_id'] for row in results} == {71}
    assert {row['category_id'] for row in results} <= {9, 4}
    write_image(photos / 'new.png')
    sources = find_sources([photos / 'new.png'])
    with pytest.raises(DatasetError, match="no image 'new.png'"):
        predict_images(DiscDetector(), sources, tmp_path / 'o', SETTINGS, ids)
    with pytest.raises(DatasetError, match='lacks the classes other'):
        read_ids(ann, ('other',))
    ann.write_text('no json')
    with pytest.raises(DatasetError, match='cannot be read'):
        read_ids(ann, CLASSES)


@pytest.mark.parametrize('text', ['=1+1', '+a', '-a', '@a', '\ta'])
def test_cells_that_a_spreadsheet_would_run_are_quoted(text: str) -> None:
    assert safe_cell(text) == "'" + text and safe_cell('hsil') == 'hsil'
    assert safe_cell('a\nb') == 'a b'


def test_exif_pictures_are_drawn_upright(tmp_path: Path) -> None:
    write_image(tmp_path / 'in' / 'a.png')
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.open(tmp_path / 'in' / 'a.png').save(tmp_path / 'in' / 'a.jpg', exif=tags)
    (tmp_path / 'in' / 'a.png').unlink()
    predict_images(DiscDetector(), find_sources([tmp_path / 'in']), tmp_path / 'out', SETTINGS)
    picture = cv2.imread(str(tmp_path / 'out' / 'pictures' / 'a.jpg.jpg'))
    assert picture.shape[0] > picture.shape[1]
    image = json.loads((tmp_path / 'out' / 'images.json').read_text())['images'][0]
    assert (image['width'], image['height']) == (64, 96)


def test_sources(photos: Path, tmp_path: Path) -> None:
    names = [source.name for source in find_sources([photos, photos / 'a.png'])]
    assert names == ['a.png', 'deep/a.png', 'deep/b.jpg']
    assert [s.name for s in find_sources([str(photos / '**' / '*.jpg')])] == ['b.jpg']
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text').mkdir()
    (tmp_path / 'text' / 'a.txt').write_text('')
    for given, match in (
        ('empty', 'it is empty'),
        ('text', r'1 files there end in \.txt'),
        ('gone', 'no such file'),
        ('*.xyz', 'no file matches'),
        ('text/a.txt', 'is no image'),
    ):
        with pytest.raises(InputError, match=match):
            find_sources([tmp_path / given])


def test_detections_check_their_arrays_and_sort() -> None:
    with pytest.raises(ValueError, match='as many'):
        CellDetections(np.zeros((2, 4)), np.zeros(1), np.zeros(1), ('a',), (9, 9))
    cells = CellDetections(
        np.eye(4)[:2], np.array([0.1, 0.8]), np.array([0, 1]), ('a', 'b'), (9, 9)
    )
    assert cells.scores.tolist() == [0.8, 0.1] and cells.labels.tolist() == [1, 0]
    assert cells.counts() == {'a': 1, 'b': 1} and len(cells.above(0.5)) == 1


def test_supervision(tmp_path: Path) -> None:
    pytest.importorskip('supervision', reason="needs pip install 'ldwsccd_mmdet[supervision]'")
    write_image(tmp_path / 'a.png')
    cells = DiscDetector().detect([cv2.imread(str(tmp_path / 'a.png'))])[0]
    found = cells.to_supervision()
    assert len(found) == 4 and found.xyxy.shape == (4, 4)
    assert found.data['class_name'].tolist() == [CLASSES[label] for label in cells.labels]
