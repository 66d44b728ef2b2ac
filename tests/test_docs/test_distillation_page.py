"""The commands and configs of docs/distillation.md, taken from the page, on tiny data."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ldwsccd import config as cli
from ldwsccd_mmdet.models.detectors.frozen_teacher import _load_model_config
from ldwsccd_mmdet.models.detectors.ldwsccd_mixin import TEACHER_KEYS
from tests.runs import run_config, without_classes, write_config
from tests.test_docs.page import ROOT, Page, run_tool
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import distillation_cfg, mil_cfg, student_cfg

PAGE = Page('distillation')
CLASSES = ('normal', 'abnormal')


@pytest.fixture(autouse=True)
def _mmdet_scope() -> None:
    register_all_modules(init_default_scope=False)
    init_default_scope('mmdet')


@pytest.fixture
def workplace(
    tmp_path: Path, make_tiny_coco: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """What the page begins with: data, COCO weights and shipped configs, the latter two tiny."""
    make_tiny_coco(tmp_path, 'train', classes=CLASSES)
    root = make_tiny_coco(tmp_path, 'val', num_images=2, classes=CLASSES)
    (tmp_path / 'data').mkdir()
    root = root.rename(tmp_path / 'data' / 'mine')

    coco = zoo.retinanet()
    coco.model.bbox_head.num_classes = 80
    (tmp_path / 'work_dirs' / 'coco').mkdir(parents=True)
    weights = Path(zoo.save(coco, tmp_path, CLASSES)['checkpoint'])
    weights.rename(tmp_path / 'work_dirs' / 'coco' / 'retinanet_r50_fpn_1x_coco.pth')

    (tmp_path / 'configs' / 'teachers').mkdir(parents=True)
    teacher = without_classes(run_config(zoo.retinanet().model, root))
    teacher.model.test_cfg.score_thr = 0.0  # it has detections, however little it learns
    write_config(teacher, tmp_path / 'configs' / 'teachers' / 'retinanet_r50-fpn_ccd.py')
    student = run_config(
        student_cfg(
            teacher=dict(config='paper.py', checkpoint='paper.pth'),
            distillation=distillation_cfg(
                teacher_channels=(16,) * 3,
                feature_norm='standardize',
                alpha=0.2,
                beta=0.1,
                gamma=0.1,
            ),
            mil_head=mil_cfg(),
        ),
        root,
    )
    student.custom_hooks = Config.fromfile(
        ROOT / 'configs' / '_base_' / 'default_runtime.py'
    ).custom_hooks
    write_config(without_classes(student), tmp_path / 'configs' / 'ldwsccd_ssd512.py')

    PAGE.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    # a runner formats its config for the log, which takes longer than the training
    return tmp_path


def test_commands_run_in_order(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [command for command in PAGE.commands if command[0] == 'python']
    tools = {Path(command[1]).stem for command in commands}
    assert tools == {'train', 'test', 'calibrate_distillation', 'browse_distillation'}
    teacher = workplace / 'work_dirs' / 'teacher' / 'epoch_24.pth'
    for command in commands:
        if 'configs/mine/distilled.py' in command and not teacher.exists():
            shutil.copy(teacher.parent / 'epoch_1.pth', teacher)
        assert run_tool(command) == 0, (command, capsys.readouterr().err[-1000:])
    output = capsys.readouterr().out
    assert re.findall(r'size mismatch for (\S+):', output) == [
        'bbox_head.retina_cls.weight',
        'bbox_head.retina_cls.bias',
    ]
    assert output.count('--cfg-options model.distillation.alpha=') == 2
    assert 'student as initialised' in output
    assert 'student of work_dirs/trial/epoch_4.pth' in output
    maps = sorted((workplace / 'work_dirs' / 'distillation_maps').glob('*.png'))
    assert len(maps) == 2

    logs = sorted((workplace / 'work_dirs' / 'distilled').glob('*/*.log'))
    log = logs[0].read_text(encoding='utf-8')  # the training; the test wrote the second
    assert 'student 0 (stride 8) with teacher 0 (8)' in log
    assert 'Weighted losses of the first batch' in log
    assert 'teacher/coco/bbox_mAP_50' in log
    state = torch.load(workplace / 'work_dirs' / 'distilled' / 'epoch_1.pth', weights_only=True)
    assert not any('mil_head' in key for key in state['state_dict'])


def test_other_commands_name_what_is_there() -> None:
    """Several processes are started by the tests of the scripts themselves."""
    others = [command for command in PAGE.commands if command[0] != 'python']
    assert [command[1] for command in others] == ['tools/dist_train.sh']
    assert all((ROOT / command[1]).is_file() and command[2] in PAGE.files for command in others)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """The page's files among the configs as they are shipped."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    PAGE.write_files(tmp_path)
    return tmp_path


def test_page_fits_the_shipped_configs(shipped: Path) -> None:
    config = Config.fromfile(shipped / 'configs' / 'mine' / 'distilled.py')
    cli.check_classes(config, ['train', 'val', 'test'])
    loss = MODELS.build(config.model.distillation)
    assert loss.student_channels == tuple(config.model.neck.out_channels[:5])
    teacher = Config.fromfile(shipped / config.model.teacher.config)
    cli.check_classes(teacher, ['train', 'val', 'test'])
    assert loss.teacher_channels == (teacher.model.neck.out_channels,) * teacher.model.neck.num_outs
    assert config.model.teacher.checkpoint == f'work_dirs/teacher/epoch_{teacher.max_epochs}.pth'
    assert config.train_cfg.max_epochs == 120 and 'epoch_120.pth' in PAGE.text


@pytest.mark.parametrize('number', range(len(PAGE.snippets)))
def test_snippets_fit_the_page_s_config(shipped: Path, number: int) -> None:
    """Each block of settings is taken by what it is for."""
    settings: dict = {}
    exec(PAGE.snippets[number], {}, settings)  # the page is ours
    assert set(settings) in ({'model'}, {'custom_hooks'})
    config = Config.fromfile(shipped / 'configs' / 'mine' / 'distilled.py')
    config.merge_from_dict(settings)
    for hook in settings.get('custom_hooks', ()):
        HOOKS.build(hook)
    MODELS.build(config.model.distillation)
    assert {'config', 'checkpoint'} <= set(config.model.teacher) <= TEACHER_KEYS
    if config.model.teacher.config.startswith('mmdet::'):
        assert _load_model_config(config.model.teacher.config)['type'] == 'RetinaNet'


def test_links_and_names() -> None:
    PAGE.check_links()
    picture = ROOT / 'docs' / 'images' / 'distillation_cric.png'
    assert picture.stat().st_size < 300_000
