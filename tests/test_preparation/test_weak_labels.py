"""Weaker labels of a set, and the tool that writes them."""

import copy
import json

import pytest

from ldwsccd_mmdet.datasets import CervicalCellDataset
from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.preparation.weak_labels import label_images, weaken
from tests.commands import run

CLASSES = ('lsil', 'hsil', 'scc')


@pytest.fixture
def coco(tiny_coco):
    return json.loads((tiny_coco(num_images=20, boxes_per_image=3) / 'train.json').read_text())


def true_labels(coco):
    """Names of the classes of each image's boxes, by a loop."""
    names = {c['id']: c['name'] for c in coco['categories']}
    found = {image['id']: set() for image in coco['images']}
    for annotation in coco['annotations']:
        found[annotation['image_id']].add(names[annotation['category_id']])
    return found


def test_image_labels_come_from_the_boxes_before_they_go(coco):
    before, truth = copy.deepcopy(coco), true_labels(coco)
    weak = weaken(coco, image_labels_only=1, drop=0.5, wrong_class=0.3)
    assert coco == before
    assert weak['annotations'] == []
    for record in weak['images']:
        assert set(record['image_labels']) == truth[record['id']]
        assert record['image_labels'] == sorted(record['image_labels'], key=CLASSES.index)
        assert record['supervision'] == 'image'


def test_mixed_by_seed(coco):
    weak = weaken(coco, image_labels_only=0.4, seed=3)
    bare = {r['id'] for r in weak['images'] if r['supervision'] == 'image'}
    assert len(bare) == 8
    assert weak['annotations'] == [a for a in coco['annotations'] if a['image_id'] not in bare]
    assert weak == weaken(coco, image_labels_only=0.4, seed=3)
    assert weak != weaken(coco, image_labels_only=0.4, seed=4)
    assert weak['info']['weakened']['counts'] == {
        'images': 20,
        'images_with_image_labels_alone': 8,
        'images_without_a_class': 0,
        'boxes_before': 60,
        'boxes': 36,
        'boxes_of_a_wrong_class': 0,
    }


def test_drops_and_swaps(coco):
    weak = weaken(coco, drop=0.25, wrong_class=0.5)
    assert len(weak['annotations']) == 45
    wrong = [a for a in weak['annotations'] if 'true_category_id' in a]
    assert 0 < len(wrong) == weak['info']['weakened']['counts']['boxes_of_a_wrong_class'] <= 30
    assert all(a['category_id'] != a['true_category_id'] for a in wrong)
    assert {r['supervision'] for r in weak['images']} == {'box'}


def test_labels_of_the_records(coco):
    for index, record in enumerate(coco['images']):
        record.update({'image_label': 'scc'} if index % 2 else {'image_labels': ['scc', 'lsil']})
    labels = [record['image_labels'] for record in label_images(coco, 'record')['images']]
    assert labels == [['lsil', 'scc'], ['scc']] * 10
    coco['images'][3]['image_label'] = 'nilm'
    with pytest.raises(DatasetError, match=r"train_4\.jpg' has the label nilm, which is no cat"):
        label_images(coco, 'record')
    del coco['images'][3]['image_label']
    with pytest.raises(DatasetError, match='neither image_labels nor image_label.*--labels boxes'):
        label_images(coco, 'record')


def test_refuses_what_is_weak_already(coco):
    with pytest.raises(DatasetError, match='8 images have image labels alone already'):
        weaken(weaken(coco, image_labels_only=0.4), drop=0.1)
    with pytest.raises(ConfigError, match='image_labels_only: expected a fraction'):
        weaken(coco, image_labels_only=1.5)


def test_tool_writes_a_set_that_the_data_set_reads(tiny_coco, capsys):
    root = tiny_coco(num_images=10)
    out = root / 'mixed.json'
    assert run('weaken', root / 'train.json', '--out', out, '--mixed', 0.5, '--drop', 0.2) == 0
    assert '10 images, 5 with image labels alone' in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert content['info']['weakened']['source'] == 'train.json'
    dataset = CervicalCellDataset(
        data_root=str(root),
        ann_file='mixed.json',
        data_prefix={'img': 'images'},
        metainfo={'classes': CLASSES},
        filter_cfg={'filter_empty_gt': True},
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    bare = [info for info in infos if info['supervision'] == 'image']
    assert len(bare) == 5 and not any(info['instances'] for info in bare)
    assert all(info['image_labels'] for info in bare)


def test_tool_overwrites_nothing(tiny_coco, capsys):
    root = tiny_coco()
    before = (root / 'train.json').read_bytes()
    assert run('weaken', root / 'train.json', '--out', root / 'train.json', '--drop', 0.5) == 2
    assert 'exists, and nothing is overwritten' in capsys.readouterr().err
    assert (root / 'train.json').read_bytes() == before


def test_tool_asks_what_to_do(capsys):
    with pytest.raises(SystemExit):
        run('weaken', 'a.json', '--out', 'b.json')
    assert 'nothing to do' in capsys.readouterr().err
