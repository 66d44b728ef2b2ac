"""The commands and configs of docs/weak_labels.md, taken from the page, on tiny data."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ldwsccd import config as cli
from ldwsccd_mmdet.engine.hooks.bag_audit_hook import refuse_untrue_labels
from tests.runs import run_config, without_classes, write_config
from tests.test_docs.page import ROOT, Page, run_tool
from tests.test_models.test_detectors.conftest import distillation_cfg, mil_cfg, student_cfg

PAGE = Page('weak_labels')
CLASSES = ('normal', 'abnormal')
PARTS = 'parts/pipelines.py'
KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'image_labels',
    'supervision',
)


@pytest.fixture(autouse=True)
def _mmdet_scope() -> None:
    register_all_modules(init_default_scope=False)
    init_default_scope('mmdet')


@pytest.fixture
def workplace(
    tmp_path: Path, make_tiny_coco: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """What the page begins with: data, and a tiny config in the place of the full-size one."""

    def first_only(content: dict) -> None:
        """Leave the second class out of the first image: it has a negative bag."""
        content['annotations'] = [
            cell
            for cell in content['annotations']
            if cell['image_id'] > 2 or cell['category_id'] == cell['image_id']
        ]

    make_tiny_coco(tmp_path, 'train', boxes_per_image=4, classes=CLASSES, edit=first_only)
    root = make_tiny_coco(tmp_path, 'val', num_images=2, classes=CLASSES)
    (tmp_path / 'data').mkdir()
    root = root.rename(tmp_path / 'data' / 'mine')
    (tmp_path / 'configs').mkdir()
    config = run_config(
        student_cfg(
            teacher=dict(config='paper.py', checkpoint='paper.pth'),
            distillation=distillation_cfg(),
            mil_head=mil_cfg(),
        ),
        root,
    )
    config.train_dataloader.dataset.pipeline[-1].meta_keys = KEYS
    runtime = Config.fromfile(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    config.custom_hooks = runtime.custom_hooks
    # the steps that pipelines are put together from, as the paper's config has them
    for name, step in Config.fromfile(ROOT / 'configs' / '_base_' / PARTS).items():
        config[name] = step
    config.pack.meta_keys = KEYS
    config.resize = dict(type='Resize', scale=(64, 64), keep_ratio=False)
    write_config(without_classes(config), tmp_path / 'configs' / 'ldwsccd_ssd512.py')
    PAGE.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    # a runner formats its config for the log, which takes longer than the training
    # the few steps of one tiny epoch must reach what comes after the warm-up
    for name in PAGE.files:
        text = Path(name).read_text(encoding='utf-8')
        text = re.sub('pseudo_warmup=[0-9]+', 'pseudo_warmup=1', text)
        # tiles of the tiny images, few at a time
        text = text.replace('scale=(171, 171)', 'scale=(64, 64)').replace('size=90', 'size=18')
        Path(name).write_text(text)
    return tmp_path


def test_commands_run_in_order(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {Path(command[1]).stem for command in PAGE.commands} == {
        'weaken',
        'audit_bags',
        'proposal_recall',
        'train',
        'browse_pseudo_boxes',
        'test',
    }
    for command in PAGE.commands:
        assert run_tool(command) == 0, (command, capsys.readouterr().err[-1000:])
    labels = json.loads((workplace / 'data' / 'mine' / 'train_image.json').read_text())
    assert not labels['annotations']
    assert labels['images'][0]['image_labels'] == ['normal']
    assert labels['images'][0]['supervision'] == 'image'
    mixed = json.loads((workplace / 'data' / 'mine' / 'train_mixed.json').read_text())
    assert sorted(image['supervision'] for image in mixed['images']) == ['box'] + ['image'] * 3
    tiles = json.loads((workplace / 'data' / 'mine_tiles' / 'train.json').read_text())
    assert len(tiles['images']) == 36 and not tiles['annotations']

    output = capsys.readouterr().out
    assert 'cells a bag' in output and 'CorLoc' in output
    assert list((workplace / 'work_dirs' / 'pseudo_boxes').glob('*.jpg'))
    log = sorted((workplace / 'work_dirs' / 'image_labels').glob('*/*.log'))[0].read_text('utf-8')
    assert 'pseudo/corloc' in log and 'pseudo/collapsed' in log
    steps = [line for line in log.splitlines() if 'Epoch(train)' in line]
    assert 'loss_bbox: 0.0000' in steps[0]  # the warm-up
    for name in ('image_labels', 'mixed', 'tiles'):
        state = torch.load(workplace / 'work_dirs' / name / 'epoch_1.pth', weights_only=True)
        assert any('mil_head' in key for key in state['state_dict'])


def test_page_fits_the_shipped_configs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    PAGE.write_files(tmp_path)
    regimes = {'image_labels': 'image', 'mixed': 'mixed', 'tiles': 'image'}
    for name, regime in regimes.items():
        config = Config.fromfile(tmp_path / 'configs' / 'mine' / f'{name}.py')
        cli.check_classes(config, ['train', 'val', 'test'])
        config.model.backbone.init_cfg = None  # no network in a test
        model = MODELS.build(config.model)
        assert model.supervision.regime == regime
        assert config.train_cfg.max_epochs == 120 and 'epoch_120.pth' in PAGE.text
        pipeline = config.train_dataloader.dataset.pipeline
        assert pipeline[-1].type == 'PackCellInputs'
        refuse_untrue_labels([pipeline], regime)
        # a tile is a third of a whole image at the same scale
        side = 171 if name == 'tiles' else 512
        assert [step.scale for step in pipeline if step.type == 'Resize'] == [(side, side)]


def test_record_of_an_image_is_json() -> None:
    (record,) = PAGE.blocks('json')
    assert json.loads(record)['image_labels'] == ['abnormal']


def test_links_and_names() -> None:
    PAGE.check_links()
