"""A set of one's own is one leaf: classes, heads and evaluators follow its annotation files."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ldwsccd_mmdet.datasets import CervicalCellDataset
from ldwsccd_mmdet.engine import CellRunner
from ldwsccd_mmdet.engine.own_data import follow_annotation_files

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('normal', 'abnormal')
LEAF = """
_base_ = '{base}'

data_root = '{root}/'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='train.json'))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='val.json'))
"""


@pytest.fixture
def own(tmp_path, make_tiny_coco):
    """``own(base)``: the config of a leaf over a shipped config, and the folder of its data."""
    make_tiny_coco(tmp_path, 'train', classes=CLASSES)
    root = make_tiny_coco(tmp_path, 'val', num_images=2, classes=CLASSES)

    def make(base):
        path = tmp_path / 'mine.py'
        path.write_text(LEAF.format(base=ROOT / 'configs' / base, root=root), encoding='utf-8')
        return Config.fromfile(path), root

    return make


@pytest.mark.parametrize(
    ('base', 'heads'),
    [
        ('ldwsccd_ssd512.py', ('bbox_head', 'mil_head')),
        ('teachers/retinanet_r50-fpn_ccd.py', ('bbox_head',)),
        ('faster_rcnn/faster-rcnn_r50-fpn_adamw_ccd.py', ('roi_head.bbox_head',)),
        ('yolov4/yolov4_csp-d53_adamw_ccd.py', ('bbox_head',)),
    ],
)
def test_classes_and_heads_follow_the_file(own, base, heads):
    config, root = own(base)
    if base.startswith('yolov4'):  # its data set is wrapped
        inner = dict(data_root=f'{root}/', ann_file='train.json')
        config.train_dataloader.dataset.dataset.update(inner)
    follow_annotation_files(config)
    for stage in ('val', 'test'):
        assert config[f'{stage}_dataloader'].dataset.metainfo.classes == CLASSES
        assert Path(config[f'{stage}_evaluator'].ann_file) == root / 'val.json'
    for head in heads:
        part = config.model
        for name in head.split('.'):
            part = part[name]
        assert part.num_classes == 2
    before = copy.deepcopy(config.to_dict())
    follow_annotation_files(config)
    assert config.to_dict() == before


def test_dump_is_explicit(own, tmp_path):
    config, _ = own('ldwsccd_ssd512.py')
    follow_annotation_files(config)
    config.dump(tmp_path / 'dump.py')
    dumped = Config.fromfile(tmp_path / 'dump.py')
    assert dumped.model.bbox_head.num_classes == dumped.model.mil_head.num_classes == 2
    assert tuple(dumped.train_dataloader.dataset.metainfo.classes) == CLASSES


def test_what_is_said_stays(own):
    """Classes that the config names, and an evaluator of the same images with other labels."""
    config, root = own('ldwsccd_ssd512.py')
    config.train_dataloader.dataset.metainfo = dict(classes=('abnormal',))
    shutil.copy(root / 'val.json', root / 'better.json')
    config.val_evaluator.ann_file = str(root / 'better.json')
    follow_annotation_files(config)
    assert config.model.bbox_head.num_classes == 11
    assert config.train_dataloader.dataset.metainfo.classes == ('abnormal',)
    assert config.val_evaluator.ann_file == str(root / 'better.json')


def test_an_evaluator_of_other_images_follows(own):
    config, root = own('ldwsccd_ssd512.py')
    config.val_dataloader.dataset.ann_file = 'train.json'
    config.val_evaluator.ann_file = str(root / 'val.json')
    follow_annotation_files(config)
    assert Path(config.val_evaluator.ann_file) == root / 'train.json'


def test_files_that_are_not_there_change_nothing():
    config = Config.fromfile(ROOT / 'configs' / 'ldwsccd_ssd512.py')
    config.merge_from_dict({'train_dataloader.dataset.data_root': 'nowhere/'})
    config.merge_from_dict({'val_dataloader.dataset.data_root': 'nowhere/'})
    config.merge_from_dict({'test_dataloader.dataset.data_root': 'nowhere/'})
    before = copy.deepcopy(config.to_dict())
    follow_annotation_files(config)
    assert config.to_dict() == before


def test_the_paper_s_set_keeps_its_order(tmp_path, make_tiny_coco):
    """Its labels are numbered as in the paper, whatever the order of the file."""
    classes = tuple(reversed(CervicalCellDataset.METAINFO['classes']))
    root = make_tiny_coco(tmp_path, 'train', classes=classes)
    config = Config.fromfile(ROOT / 'configs' / 'ldwsccd_ssd512.py')
    config.train_dataloader.dataset.data_root = f'{root}/'
    follow_annotation_files(config)
    assert 'metainfo' not in config.train_dataloader.dataset


def test_mmdet_s_tools_take_the_runner(own, monkeypatch):
    """``RUNNERS.build`` is what mmdet's tools/train.py calls where a config has ``runner_type``."""
    config, _ = own('ldwsccd_ssd512.py')
    built = []
    monkeypatch.setattr(Runner, 'from_cfg', classmethod(lambda cls, cfg: built.append((cls, cfg))))
    RUNNERS.build(config)
    ((kind, seen),) = built
    assert kind is CellRunner
    assert seen.model.bbox_head.num_classes == 2
