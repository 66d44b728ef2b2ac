"""Composed scenes: cells are cut cleanly, boxes are exact, no cell is on both sides."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.preparation.composed import (
    Bystander,
    Cell,
    ComposedScene,
    cut_bystanders,
    cut_cell,
    find_crops,
    split_crops,
    write_composed_dataset,
)

CROPS = Path(__file__).resolve().parents[4] / 'shared' / 'data' / 'ccd_crops'
SLIDE = (236, 240, 238)


def crop(seed: int, size: int = 64, neighbour: bool = True) -> np.ndarray:
    """A crop: an uneven cell in the middle, a neighbour cut off by the left side, a speck."""
    rng = np.random.default_rng(seed)
    picture = np.full((size, size, 3), SLIDE, np.uint8)
    turn = rng.uniform(0, 180)
    cv2.ellipse(
        picture,
        (size // 2, size // 2),
        (size // 3, size // 5),
        turn,
        0,
        360,
        rng.integers(90, 160, 3).tolist(),
        -1,
        cv2.LINE_AA,
    )
    for x, y in rng.integers(size // 3, 2 * size // 3, (3, 2)).tolist():  # no two cells are alike
        cv2.circle(picture, (x, y), size // 12, rng.integers(60, 120, 3).tolist(), -1, cv2.LINE_AA)
    cv2.circle(picture, (size // 2, size // 2), size // 10, (90, 40, 60), -1, cv2.LINE_AA)
    if neighbour:
        cv2.circle(picture, (0, size // 8), size // 7, (150, 90, 200), -1, cv2.LINE_AA)
    return picture


@pytest.fixture(scope='module')
def crops(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('crops')
    for label, name in enumerate(('hsil', 'scc')):
        (root / name).mkdir()
        for number in range(12):
            picture = crop(100 * label + number)
            # two crops of each class show one cell: a copy, and a mirror image
            picture = crop(100 * label) if number == 1 else picture
            picture = crop(100 * label)[:, ::-1] if number == 2 else picture
            cv2.imwrite(str(root / name / f'{number}.png'), picture)
    return root


# -- cutting


def test_cell_is_cut_without_its_neighbour():
    cell = cut_cell(crop(1), 'hsil/1.png')
    assert isinstance(cell, Cell) and cell.source == 'hsil/1.png'
    np.testing.assert_allclose(cell.slide, SLIDE, atol=1)
    assert cell.mask[32, 32] == 1 and cell.mask[8, 2] == 0
    # the slide is transparent, the nucleus as dense as it was
    assert np.abs(cell.density[-3:, -3:]).max() == 0
    expected = -np.log(np.array([90, 40, 60]) / cell.slide)
    np.testing.assert_allclose(cell.density[32, 32], expected, atol=0.02)


def test_cell_over_its_own_slide_is_the_crop():
    picture = crop(2, neighbour=False)
    cell = cut_cell(picture)
    again = cell.slide * np.exp(-cell.density)
    assert np.abs(again - picture).max() < 3


@pytest.mark.parametrize(
    ('picture', 'why'),
    [
        (np.full((8, 40, 3), 240, np.uint8), 'too small'),
        (np.full((40, 40, 3), 120, np.uint8), 'no empty slide'),
        (np.full((40, 40, 3), 240, np.uint8), 'nothing in it'),
    ],
)
def test_why_a_cell_cannot_be_cut(picture, why):
    assert why in cut_cell(picture)


def test_cell_that_its_crop_cuts():
    picture = np.full((60, 60, 3), SLIDE, np.uint8)
    picture[:, 8:] = (150, 110, 90)
    assert cut_cell(picture) == 'cut by the edge of its crop'
    picture = np.full((60, 60, 3), SLIDE, np.uint8)
    cv2.circle(picture, (30, 12), 20, (150, 110, 90), -1)
    # fades out to the side where it is cut: no straight edge
    assert cut_cell(picture).mask[0].max() < 0.05


def test_bystanders():
    pieces = cut_bystanders(crop(3, size=280))
    assert any(piece.sides[0] and not any(piece.sides[2:]) for piece in pieces)
    assert all(not (p.sides[0] and p.sides[2]) for p in pieces)
    assert cut_bystanders(crop(3, size=30)) == []


# -- the split


def test_no_cell_is_in_both_splits(crops):
    """Copies and mirror images of a crop stay on its side."""
    train, test = split_crops(find_crops(crops, ('hsil', 'scc')), 0.5, seed=0)
    sides = []
    for name in ('hsil', 'scc'):
        of = {p.stem: 0 for p in train[name]} | {p.stem: 1 for p in test[name]}
        assert len(of) == 12 and not set(train[name]) & set(test[name])
        assert 4 <= len(test[name]) <= 8
        assert of['0'] == of['1'] == of['2']
        sides.append(of)
    assert split_crops(find_crops(crops, ('hsil', 'scc')), 0.5, seed=0)[1] == test
    assert split_crops(find_crops(crops, ('hsil', 'scc')), 0.5, seed=1)[1] != test


def test_find_crops_lists_every_empty_class(crops):
    with pytest.raises(DatasetError, match='no crops of agc, lsil: expected one folder a class'):
        find_crops(crops, ('agc', 'hsil', 'lsil'))


# -- scenes


def disc(radius: int, density: float = 0.5) -> Cell:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    mask = (x**2 + y**2 <= radius**2).astype(np.float32)
    layers = np.repeat(density * mask[..., None], 3, 2)
    return Cell(layers, mask, f'{radius}', np.array(SLIDE, np.float32))


def test_boxes_are_exact():
    """Alone on the slide, a cell darkens just the pixels of its box."""
    scene = ComposedScene(
        {'a': [disc(20)]},
        size=128,
        mean_cells=0.01,
        scale=(1, 1),
        negative_fraction=0,
        min_inside=1,
    )
    drawn = scene.draw(3)
    assert drawn.labels.tolist() == [0] and drawn.sources == ['20']
    dark = drawn.image.mean(-1) < 200
    x1, y1, x2, y2 = drawn.boxes[0].astype(int)
    xs, ys = np.flatnonzero(dark.any(0)), np.flatnonzero(dark.any(1))
    assert np.abs([xs[0] - x1, ys[0] - y1, xs[-1] + 1 - x2, ys[-1] + 1 - y2]).max() <= 1
    assert abs((x2 - x1) - 41) <= 2


def test_same_seed_same_scene():
    scene = ComposedScene({'a': [disc(9), disc(14)], 'b': [disc(12)]}, size=160)
    one, again, other = scene.draw(1), scene.draw(1), scene.draw(2)
    np.testing.assert_array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.boxes, again.boxes)
    assert not np.array_equal(one.image, other.image)


def test_overlap_is_limited_and_scenes_vary():
    scene = ComposedScene(
        {'a': [disc(15)]}, size=200, mean_cells=60, overlap=0.2, negative_fraction=0.2, scale=(1, 1)
    )
    drawn = [scene.draw(seed) for seed in range(8)]
    counts = [len(d.boxes) for d in drawn]
    assert max(counts) > 5
    for d in drawn:
        assert ((d.boxes >= 0) & (d.boxes <= 200)).all()
        centres = (d.boxes[:, :2] + d.boxes[:, 2:]) / 2
        inside = (np.ptp(d.boxes.reshape(-1, 2, 2), axis=1) > 28).all(1)
        far = np.linalg.norm(centres[inside][:, None] - centres[inside][None], axis=-1)
        # discs of radius 15 that share a fifth of their area lie 20 px apart
        assert len(far) < 2 or far[np.triu_indices(len(far), 1)].min() > 18


def test_cut_pieces_lie_at_a_side():
    piece = Bystander(np.full((20, 10, 3), 1, np.float32), (True, False, False, False), 'x')
    scene = ComposedScene({'a': [disc(3)]}, [piece], size=96, negative_fraction=1, scale=(1, 1))
    dark = np.mean([scene.draw(seed).image.mean(-1) < 150 for seed in range(12)], 0)
    assert dark.max() > 0 and dark[11:-11, 11:-11].max() == 0


def test_scene_refuses():
    with pytest.raises(ConfigError, match='no crop of b could be cut out'):
        ComposedScene({'a': [disc(9)], 'b': []})
    with pytest.raises(ConfigError, match='overlap: expected 0 to 1, found 2'):
        ComposedScene({'a': [disc(9)]}, overlap=2)


# -- the set


def test_written_set(crops, tmp_path):
    seen = []
    builders = write_composed_dataset(
        crops,
        tmp_path / 'set',
        ('hsil', 'scc'),
        5,
        3,
        seed=1,
        test_fraction=0.5,
        size=128,
        mean_cells=40,
        bystanders_from=('scc',),
        progress=lambda *done: seen.append(done),
    )
    assert seen[-1] == (8, 8)
    used = {}
    for split, number in (('train', 5), ('test', 3)):
        content = json.loads((tmp_path / 'set' / f'{split}.json').read_text())
        assert [c['name'] for c in content['categories']] == ['hsil', 'scc']
        assert len(content['images']) == number and 'image_labels' in content['images'][0]
        for image in content['images']:
            assert cv2.imread(str(tmp_path / 'set' / 'images' / image['file_name'])).shape[0] == 128
        used[split] = {a['crop'] for a in content['annotations']}
        assert used[split] and len(builders[split].annotations) == len(content['annotations'])
    assert not used['train'] & used['test']
    pictures = {name: cv2.imread(str(crops / name)) for side in used.values() for name in side}
    for one in used['train']:  # nor does a copy of it occur under another name
        for other in used['test']:
            assert not np.array_equal(pictures[one], pictures[other])
    with pytest.raises(ConfigError, match='nothing is overwritten'):
        write_composed_dataset(crops, tmp_path / 'set', ('hsil', 'scc'), 1, 0)


def test_set_refuses(crops, tmp_path):
    with pytest.raises(ConfigError, match='--num-train of at least 1.*found 0'):
        write_composed_dataset(crops, tmp_path / 'set', ('hsil',), 0, 0)
    with pytest.raises(ConfigError, match='lsil is not among the classes'):
        write_composed_dataset(crops, tmp_path / 's', ('hsil',), 1, 0, bystanders_from=('lsil',))
    for name in ('0', '1', '2'):  # one cell only
        (tmp_path / 'few' / 'hsil').mkdir(parents=True, exist_ok=True)
        shutil.copy(crops / 'hsil' / f'{name}.png', tmp_path / 'few' / 'hsil')
    with pytest.raises(DatasetError, match='hsil has no crop left for the .* scenes'):
        write_composed_dataset(tmp_path / 'few', tmp_path / 'set', ('hsil',), 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ['few']


@pytest.mark.skipif(not CROPS.is_dir(), reason='needs ../shared/data/ccd_crops, not here')
def test_real_crops_are_cut():
    for name in ('hsil', 'trichomonas'):
        paths = find_crops(CROPS, (name,))[name][:20]
        cells = [cut_cell(cv2.imread(str(path))) for path in paths]
        assert sum(isinstance(cell, Cell) for cell in cells) >= 10
