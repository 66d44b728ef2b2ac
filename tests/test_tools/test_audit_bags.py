"""tools/analysis_tools/audit_bags.py, and the hook that does the same before training."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldwsccd_mmdet.engine.hooks import bag_audit_hook
from ldwsccd_mmdet.engine.hooks.bag_audit_hook import BagAuditHook
from tests.commands import run
from tests.runs import run_config
from tests.test_models.test_detectors.conftest import student_cfg

ROOT = Path(__file__).resolve().parents[2]
CRIC = ROOT.parent / 'shared' / 'data' / 'cric'


def everywhere(content):
    """lsil in each image, hsil in the first, scc in none."""
    for index, annotation in enumerate(content['annotations']):
        annotation['category_id'] = 2 if index == 1 else 1


def test_table_and_exit_code(tiny_coco, capsys):
    root = tiny_coco(num_images=4, edit=everywhere)
    assert run('audit', root / 'train.json') == 1
    out = capsys.readouterr().out
    assert 'lsil (4 of 4)' in out and 'classes in no image: scc' in out
    assert '2.0 cells an image' in out


def test_json_of_a_config(tiny_coco, tmp_path, capsys):
    root = tiny_coco(num_images=4, edit=everywhere)
    tiny_coco('val')
    run_config(student_cfg(), root).dump(tmp_path / 'config.py')
    assert run('audit', tmp_path / 'config.py', '--json') == 1
    found = json.loads(capsys.readouterr().out)
    assert found['everywhere'] == ['lsil'] and found['nowhere'] == ['scc']
    assert found['classes']['lsil'] == {
        'bags': 4,
        'share': 1.0,
        'cells': 7,
        'cells_per_bag': 1.75,
    }


def test_csv_has_one_row_a_class_and_one_for_empty_images(tiny_coco, tmp_path, capsys):
    root = tiny_coco(num_images=4, edit=everywhere)
    assert run('audit', root / 'train.json', '--csv', tmp_path / 'new' / 'classes.csv') == 1
    rows = (tmp_path / 'new' / 'classes.csv').read_text().splitlines()
    assert rows[0] == 'class,images,with_it,share,cells'
    assert 'lsil,4,4,1.0000,7' in rows and 'scc,4,0,0.0000,0' in rows
    assert rows[-1] == ',4,0,0.0000,0'


def test_good_set(tiny_coco, capsys):
    def edit(content):
        for annotation in content['annotations']:
            annotation['category_id'] = 1 + annotation['image_id'] % 3

    root = tiny_coco(num_images=6, edit=edit)
    assert run('audit', root / 'train.json') == 0
    assert 'cannot' not in capsys.readouterr().out


def test_own_labels_of_the_images(tiny_coco, capsys):
    def edit(content):
        for image in content['images']:
            image['image_label'] = 'hsil'

    root = tiny_coco(edit=edit)
    assert run('audit', root / 'train.json', '--image-labels', '--json') == 1
    assert json.loads(capsys.readouterr().out)['everywhere'] == ['hsil']


@pytest.mark.skipif(not CRIC.is_dir(), reason='needs ../shared/data/cric, which is not here')
def test_nilm_is_nearly_everywhere_in_cric(capsys):
    assert run('audit', CRIC / 'train.json', '--json') == 1
    found = json.loads(capsys.readouterr().out)
    assert found['everywhere'] == ['nilm'] and found['num_images'] == 136


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr(
        bag_audit_hook, 'print_log', lambda text, logger, level: messages.append((text, level))
    )
    return messages


def runner(records, mil_head=True, classes=('a', 'b'), rank=0):
    class Dataset:
        metainfo = {'classes': classes}

        def __len__(self):
            return len(records)

        def get_data_info(self, index):
            return {'instances': [{'bbox_label': label} for label in records[index]]}

    wrapped = SimpleNamespace(dataset=Dataset(), metainfo=Dataset.metainfo)
    return SimpleNamespace(
        model=SimpleNamespace(
            mil_head=object() if mil_head else None, supervision=SimpleNamespace(regime='box')
        ),
        train_dataloader=SimpleNamespace(dataset=wrapped),
        hooks=[],
        rank=rank,
    )


def test_hook_warns_once_and_says_what_to_do(said):
    BagAuditHook().before_train(runner([(0,), (0, 0), (0,)]))
    ((text, level),) = said
    assert level == logging.WARNING
    assert 'a (3 of 3)' in text and 'no image: b' in text and 'metainfo.classes' in text


@pytest.mark.parametrize(
    'case',
    [
        runner([(0,), (1,)]),
        runner([(0,), (0,)], mil_head=False),
        runner([(0,), (0,)], rank=1),
    ],
)
def test_hook_is_silent_where_nothing_is_wrong(said, case):
    BagAuditHook().before_train(case)
    assert said == []
