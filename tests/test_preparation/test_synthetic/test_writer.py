import json
import os

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.preparation.synthetic import (
    CLASSES,
    LabelFaults,
    SyntheticSmear,
    write_synthetic_dataset,
    writer,
)

FAULTS = dict(missing=0.5, wrong_class=0.1, clumps=0.3)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp('synthetic') / 'set'
    return write_synthetic_dataset(root, 22, 4, seed=1, size=(64, 96), faults=FAULTS)


def _json(path):
    return json.loads(path.read_text())


def _contents(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}


@pytest.mark.parametrize('name', ['train', 'train_clean', 'val'])
def test_pycocotools_reads_it(dataset, name):
    coco = COCO(dataset[name])
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert len(coco.getImgIds()) == (4 if name == 'val' else 22)
    for record in coco.loadImgs(coco.getImgIds()):
        image = cv2.imread(str(dataset['images'] / record['file_name']))
        assert image.shape == (64, 96, 3) == (record['height'], record['width'], 3)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        x, y, w, h = annotation['bbox']
        assert w > 0 and h > 0 and x >= 0 and y >= 0 and x + w <= 96 and y + h <= 64


def test_image_labels_tell_the_true_classes_in_every_file(dataset):
    clean = _json(dataset['train_clean'])
    names = {c['id']: c['name'] for c in clean['categories']}
    true = {r['id']: set() for r in clean['images']}
    for annotation in clean['annotations']:
        true[annotation['image_id']].add(names[annotation['category_id']])
    for file in ('train', 'train_clean'):
        for record in _json(dataset[file])['images']:
            assert set(record['image_labels']) == true[record['id']]
    # 22 images hold each of the 11 classes, but for those in the few negative ones.
    assert len(set().union(*true.values())) >= 9


def test_faults_are_in_train_only(dataset):
    clean, faulty = _json(dataset['train_clean']), _json(dataset['train'])
    assert faulty['annotations'] == LabelFaults(**FAULTS).apply(clean, 1)['annotations']
    assert 0 < len(faulty['annotations']) <= 0.5 * len(clean['annotations']) + 1
    assert faulty['info']['faults']['missing'] == 0.5
    assert not any(
        'merged_ids' in a or 'true_category_id' in a
        for name in ('train_clean', 'val')
        for a in _json(dataset[name])['annotations']
    )


def test_pictures_do_not_depend_on_their_number(dataset, tmp_path):
    few = write_synthetic_dataset(tmp_path / 'few', 3, 2, seed=1, size=(64, 96))
    for file in few['images'].iterdir():
        assert file.read_bytes() == (dataset['images'] / file.name).read_bytes()
    other = write_synthetic_dataset(tmp_path / 'other', 3, 2, seed=2, size=(64, 96))
    name = 'train_000000.jpg'
    assert (few['images'] / name).read_bytes() != (other['images'] / name).read_bytes()


def test_train_and_val_differ(dataset):
    first = [(dataset['images'] / f'{split}_000000.jpg').read_bytes() for split in ('train', 'val')]
    assert first[0] != first[1]


def test_a_finished_set_is_taken_as_it_is(dataset, monkeypatch):
    before = _contents(dataset['root'])
    monkeypatch.setattr(writer, '_draw_one', lambda *_: pytest.fail('drawn again'))
    again = write_synthetic_dataset(
        dataset['root'],
        22,
        4,
        seed=1,
        size=(64, 96),
        faults=LabelFaults(**FAULTS),
        magnification=14,
    )
    assert again == dataset and _contents(dataset['root']) == before


def test_other_settings_in_the_same_folder(dataset):
    before = _contents(dataset['root'])
    with pytest.raises(ConfigError, match=r'other settings \(seed differ.*delete'):
        write_synthetic_dataset(dataset['root'], 22, 4, seed=2, size=(64, 96), faults=FAULTS)
    assert _contents(dataset['root']) == before


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(ConfigError, match='without settings.json.*choose another folder'):
        write_synthetic_dataset(tmp_path, 1, 1, size=64)
    assert os.listdir(tmp_path) == ['thesis.txt']


def test_an_interrupted_run_leaves_nothing(tmp_path):

    def stop(done, total):
        assert total == 5
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic_dataset(tmp_path / 'set', 3, 2, size=64, progress=stop)
    assert os.listdir(tmp_path) == []
    paths = write_synthetic_dataset(tmp_path / 'set', 3, 2, size=64)
    assert len(list(paths['images'].iterdir())) == 5


def test_an_empty_folder_is_filled(tmp_path):
    paths = write_synthetic_dataset(tmp_path, 1, 0, size=64)
    assert paths['train'].is_file() and len(_json(paths['val'])['images']) == 0


def test_a_subset_of_classes(tmp_path):
    paths = write_synthetic_dataset(
        tmp_path / 'set', 4, 0, size=96, classes=['lsil', 'candida'], negative_fraction=0
    )
    clean = _json(paths['train_clean'])
    assert [c['name'] for c in clean['categories']] == ['lsil', 'candida']
    assert {a['category_id'] for a in clean['annotations']} == {1, 2}
    image, boxes, labels = SyntheticSmear(
        96, 96, classes=['lsil', 'candida'], negative_fraction=0
    ).draw(np.random.SeedSequence(0, spawn_key=(0, 1)), first_class=1)
    mine = [a for a in clean['annotations'] if a['image_id'] == 2]
    assert [a['category_id'] - 1 for a in mine] == labels.tolist()
    assert [a['bbox'][:2] for a in mine] == boxes[:, :2].tolist()
    written = cv2.imread(str(paths['images'] / 'train_000001.jpg'))
    assert np.abs(written.astype(float) - image).mean() < 4


def test_workers_draw_the_same(tmp_path):
    one = write_synthetic_dataset(tmp_path / 'one', 3, 1, size=64)
    two = write_synthetic_dataset(tmp_path / 'two', 3, 1, size=64, workers=2)
    assert _contents(one['root']) == _contents(two['root'])


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(num_train=0), 'num_train.*at least 1.*0'),
        (dict(num_val=-1), 'num_val'),
        (dict(seed=-1), 'seed'),
        (dict(workers=0), 'workers'),
        (dict(size=(64, 64, 3)), r'size.*height, width'),
        (dict(size=10), 'height.*at least 48'),
        (dict(classes=['hsil', 'nilm']), 'classes.*nilm'),
        (dict(faults=dict(lost=0.5)), r'faults.*lost.*missing'),
        (dict(faults=dict(missing=2)), 'faults.missing.*0 to 1.*2'),
    ],
)
def test_bad_arguments_are_named_before_anything_is_written(tmp_path, arguments, words):
    with pytest.raises(ConfigError, match=words):
        write_synthetic_dataset(tmp_path / 'set', **{**dict(num_train=1, num_val=1), **arguments})
    assert os.listdir(tmp_path) == []
