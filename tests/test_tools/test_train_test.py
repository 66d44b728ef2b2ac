"""tools/train.py and tools/test.py on a tiny mmdet detector: flags, results, errors."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ldwsccd import config as cli
from ldwsccd_mmdet.engine.find_checkpoint import find_checkpoint
from ldwsccd_mmdet.errors import CheckpointError, ConfigError
from tests import commands

TOOLS = Path(__file__).resolve().parents[2] / 'tools'

CONFIG = """
default_scope = 'mmdet'
custom_imports = dict(imports=['ldwsccd_mmdet'], allow_failed_imports=False)
classes = ('lsil', 'hsil', 'scc')
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[124, 116, 104], std=[58, 57, 57], bgr_to_rgb=True,
        pad_size_divisor=32),
    backbone=dict(
        type='ResNet', depth=18, base_channels=8, num_stages=4, out_indices=(1, 2), style='pytorch',
        norm_cfg=dict(type='BN'), norm_eval=False, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 1)),
    neck=dict(type='FPN', in_channels=[16, 32], out_channels=8, num_outs=2),
    bbox_head=dict(
        type='RetinaHead', num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=2, scales_per_octave=1, ratios=[1.0],
            strides=[8, 16]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True), loss_bbox=dict(type='L1Loss')),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=.5, neg_iou_thr=.4, min_pos_iou=0),
        sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(
        nms_pre=50, min_bbox_size=0, score_thr=0., nms=dict(type='nms', iou_threshold=.5),
        max_per_img=5))
load = dict(type='LoadImageFromFile')
verify = dict(type='VerifyImage')
resize = dict(type='Resize', scale=(96, 64), keep_ratio=False)
boxes = dict(type='LoadAnnotations', with_bbox=True)
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
data = dict(
    type='CervicalCellDataset', data_root='ROOT', data_prefix=dict(img='images'),
    metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file='train.json', filter_cfg=dict(filter_empty_gt=False),
        pipeline=[load, verify, boxes, resize, dict(type='PackDetInputs')], **data))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='val.json', test_mode=True,
        pipeline=[load, verify, resize, boxes, dict(type='PackDetInputs', meta_keys=keys)], **data))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='CocoMetric', ann_file='ROOT/val.json', metric='bbox')
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=.01, momentum=.9),
    clip_grad=dict(max_norm=5.))
param_scheduler = [dict(type='LinearLR', start_factor=.1, by_epoch=False, begin=0, end=4)]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1, save_best='coco/bbox_mAP'),
    visualization=dict(type='DetVisualizationHook'))
visualizer = dict(
    type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
log_level = 'WARNING'
"""

Maker = Callable[..., Path]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a tool in this process; returns its exit code."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    return commands.run


@pytest.fixture(scope='module')
def workplace(tmp_path_factory: pytest.TempPathFactory, make_tiny_coco: Maker) -> Path:
    """A folder with data and config, and the checkpoint of a training run in bfloat16."""
    folder = tmp_path_factory.mktemp('tools')
    root = make_tiny_coco(folder, 'train')
    make_tiny_coco(folder, 'val', num_images=2)
    (folder / 'tiny.py').write_text(CONFIG.replace('ROOT', str(root)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('LOCAL_RANK', '0')
        options = ['--amp', '--cfg-options', 'randomness.seed=1']
        assert commands.run_door('tools/train.py', 'tiny.py', *options) == 0
    return folder


@pytest.fixture
def config(tmp_path: Path, tiny_coco: Maker) -> Path:
    """The config with data of its own, which a test may spoil."""
    root = tiny_coco('train')
    tiny_coco('val', num_images=2)
    file = tmp_path / 'spoilt.py'
    file.write_text(CONFIG.replace('ROOT', str(root)))
    return file


def checkpoint_of(folder: Path) -> Path:
    return folder / 'work_dirs' / 'tiny' / 'epoch_1.pth'


def test_train_with_amp_on_the_cpu(workplace: Path) -> None:
    work_dir = checkpoint_of(workplace).parent  # the default, named after the config
    used = Config.fromfile(work_dir / 'tiny.py')
    assert used.optim_wrapper.type == 'CPUAmpOptimWrapper' and used.randomness.seed == 1
    content = torch.load(checkpoint_of(workplace), weights_only=True)
    assert content['meta']['iter'] == 2 and (work_dir / 'best_coco_bbox_mAP_epoch_1.pth').is_file()
    losses = content['message_hub']['log_scalars']['train/loss'].data[0]
    assert len(losses) == 2 and all(math.isfinite(loss) for loss in losses)


def test_resume_in_float32(workplace: Path, run: Callable[..., int], tmp_path: Path) -> None:
    """`--resume` finds the last checkpoint, of a folder that was moved too."""
    work_dir = tmp_path / 'moved'
    shutil.copytree(checkpoint_of(workplace).parent, work_dir)
    pointer = work_dir / 'last_checkpoint'
    pointer.write_text('/elsewhere/epoch_1.pth')
    options = ('--work-dir', work_dir, '--cfg-options', 'train_cfg.max_epochs=2')
    assert run('train', workplace / 'tiny.py', '--resume', *options) == 0
    content = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    assert content['meta']['iter'] == 4
    assert len(content['message_hub']['log_scalars']['train/loss'].data[0]) == 4


@pytest.mark.parametrize('flags', [[], ['--tta']])
def test_test_keeps_predictions(
    workplace: Path, run: Callable[..., int], tmp_path: Path, flags: list[str]
) -> None:
    out = tmp_path / 'predictions.pkl'
    code = run(
        'test',
        workplace / 'tiny.py',
        checkpoint_of(workplace),
        '--work-dir',
        tmp_path,
        '--out',
        out,
        '--show-dir',
        'drawn',
        *flags,
    )
    assert code == 0
    predictions = pickle.loads(out.read_bytes())
    assert [p['img_id'] for p in predictions] == [1, 2]
    assert all(p['pred_instances']['bboxes'].shape[1] == 4 for p in predictions)
    assert len(list(tmp_path.glob('*/drawn/*.jpg'))) == 2


def test_checkpoint_serves_mmdets_own_inference(workplace: Path) -> None:
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(
        str(workplace / 'tiny.py'), str(checkpoint_of(workplace)), palette='random', device='cpu'
    )
    result = inference_detector(model, str(workplace / 'tiny' / 'images' / 'val_1.jpg'))
    assert model.dataset_meta['classes'] == ('lsil', 'hsil', 'scc')
    assert len(result.pred_instances) == 5


def test_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, TOOLS / 'train.py', 'gone.py']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if 'Warning' not in line]
    assert lines[-1] == "error: config file 'gone.py' does not exist: check the path"
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    ('edit', 'flags', 'expected'),
    [
        (None, ['--resume'], "no checkpoint in '"),
        (None, ['--resume', 'gone.pth'], "checkpoint 'gone.pth' does not exist"),
        (None, ['--cfg-options', 'load_from=gone.pth'], "checkpoint 'gone.pth' does not exist"),
        (None, ['--auto-scale-lr'], 'auto_scale_lr=dict(base_batch_size=...)'),
        (('classes=classes', 'classes=classes[:2]'), [], 'num_classes=3, but train_dataloader'),
        (("classes = ('lsil', 'hsil', 'scc')", "classes = 'scc'"), [], "classes=('scc',)"),
        (("'scc')", "'polyp')"), [], 'classes polyp are not in the annotation file'),
        (('num_classes=3, ', ''), [], 'model.bbox_head.num_classes is missing'),
        (('num_classes=3', 'num_classes=4'), [], 'but train_dataloader.dataset has 3'),
        (("type='CervicalCellDataset'", "type='CellData'"), [], "type is 'CellData'"),
        (("type='RetinaHead'", "type='RetinaHaed'"), [], "'RetinaHead' is near it"),
        (('in_channels=[16, 32]', 'in_channels=16'), [], 'error: model.neck: '),
        (("default_scope = 'mmdet'", '_base_ = "gone.py"'), [], 'cannot be read'),
        (("default_scope = 'mmdet'", 'default_scope = ('), [], 'cannot be read'),
        (("ann_file='train.json'", "ann_file='gone.json'"), [], "gone.json' does not exist"),
    ],
)
def test_train_says_what_is_wrong(
    config: Path,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    edit: tuple[str, str] | None,
    flags: list[str],
    expected: str,
) -> None:
    if edit is not None:
        text = config.read_text()
        assert edit[0] in text
        config.write_text(text.replace(*edit))
    flags = flags if '--cfg-options' in flags else [*flags, '--cfg-options', 'log_level=ERROR']
    assert run('train', config, '--work-dir', tmp_path / 'work', *flags) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('error: ') and expected in last


def test_broken_image_in_a_worker_is_one_line(
    config: Path, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for image in (tmp_path / 'tiny' / 'images').glob('train_*.jpg'):
        image.write_bytes(image.read_bytes()[:-100])
    options = ['--work-dir', tmp_path, '--cfg-options', 'train_dataloader.num_workers=1']
    assert run('train', config, *options) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: image file '") and 'is cut short' in last


@pytest.mark.parametrize(
    ('flags', 'edit', 'expected'),
    [
        (['gone.pth'], None, "checkpoint 'gone.pth' does not exist"),
        (['any.pth', '--out', 'a.json'], None, "'a.json', but it must end in .pkl"),
        (['any.pth', '--out', 'any.pth/a.pkl'], None, "--out: 'any.pth/a.pkl' can't be written"),
        (['any.pth', '--show'], ('    visualization=', '    drawing='), 'CellVisualizationHook'),
        (['any.pth'], ('test_dataloader = val_dataloader', ''), 'no test_dataloader'),
        (
            ['evil.pth'],
            None,
            "checkpoint 'evil.pth' was not loaded, since it holds more than weights",
        ),
        (['half.pth'], None, "checkpoint 'half.pth' is cut short after 300 bytes"),
        (['any.pth', '--out', '.'], None, "--out: '.' is a folder"),
    ],
)
def test_test_says_what_is_wrong(
    config: Path,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    edit: tuple[str, str] | None,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': {}}, 'any.pth')
    torch.save({'state_dict': {}, 'meta': os.getcwd}, 'evil.pth')
    Path('half.pth').write_bytes(Path('any.pth').read_bytes()[:300])
    if edit is not None:
        config.write_text(config.read_text().replace(*edit))
    assert run('test', config, *flags) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('error: ') and expected in last


def checkpoint_for(file: Path, classes: object) -> str:
    torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=classes))), file)
    return str(file)


def test_checkpoint_of_other_classes(config: Path, tmp_path: Path) -> None:
    settings = Config.fromfile(config)
    file = tmp_path / 'x.pth'
    for same in (('lsil', 'hsil', 'scc'), ['lsil', 'hsil', 'scc'], None):
        cli.check_checkpoint_classes(settings, checkpoint_for(file, same))
    for other in (('hsil', 'lsil', 'scc'), ('RBC', 'WBC', 'Platelets'), ('lsil', 'hsil')):
        with pytest.raises(ConfigError, match=rf'trained for the classes \({other[0]}.*lsil, hsil'):
            cli.check_checkpoint_classes(settings, checkpoint_for(file, other))
    file.write_bytes(b'not a checkpoint')
    with pytest.raises(CheckpointError, match='is not a checkpoint'):
        cli.check_checkpoint_classes(settings, str(file))


def test_missing_checkpoint_lists_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / 'epoch_3.pth').touch()
    with pytest.raises(CheckpointError, match='in that folder: epoch_3.pth'):
        find_checkpoint(str(tmp_path / 'epoch_4.pth'))
    assert find_checkpoint('https://example.org/a.pth') == 'https://example.org/a.pth'


@pytest.mark.parametrize('kind', ['OptimWrapper', 'AmpOptimWrapper', 'CPUAmpOptimWrapper'])
@pytest.mark.parametrize(
    ('device', 'expected'), [('cpu', 'CPUAmpOptimWrapper'), ('cuda', 'AmpOptimWrapper')]
)
def test_amp_suits_the_device(
    monkeypatch: pytest.MonkeyPatch, kind: str, device: str, expected: str
) -> None:
    monkeypatch.setattr(cli, 'get_device', lambda: device)
    wrapper = {'type': kind, 'optimizer': {'type': 'SGD', 'lr': 0.1}, 'accumulative_counts': 2}
    if kind == 'AmpOptimWrapper':
        wrapper['loss_scale'] = 512.0
    config = Config({'optim_wrapper': wrapper})
    cli.enable_amp(config)
    assert config.optim_wrapper.type == expected and config.optim_wrapper.accumulative_counts == 2
    assert config.optim_wrapper.get('loss_scale') == (
        None if device == 'cpu' else 512.0 if kind == 'AmpOptimWrapper' else 'dynamic'
    )


@pytest.mark.parametrize(('given', 'seconds'), [(None, cli.TIMEOUT), (7, 7)])
def test_processes_wait_so_long(
    monkeypatch: pytest.MonkeyPatch, given: float | None, seconds: float
) -> None:
    """gloo alone would wait for half an hour for a process that hangs."""
    asked: dict = {}
    monkeypatch.setattr(cli, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(
        cli.torch.distributed, 'init_process_group', lambda backend, **kwargs: asked.update(kwargs)
    )
    config = Config({} if given is None else {'env_cfg': {'dist_cfg': {'timeout': given}}})
    cli.set_launcher(config, 'pytorch')
    assert asked['timeout'].total_seconds() == seconds
    assert config.env_cfg.dist_cfg.timeout == seconds  # what mmengine takes on GPUs


def test_amp_needs_an_optimizer() -> None:
    with pytest.raises(ConfigError, match='optim_wrapper=dict'):
        cli.enable_amp(Config({}))


def test_classes_of_wrapped_data_and_two_stage_heads() -> None:
    part = {'type': 'CervicalCellDataset', 'metainfo': {'classes': ('a', 'b')}}
    other = {'type': 'CervicalCellDataset', 'metainfo': {'classes': ('a', 'b', 'c')}}
    both = {'type': 'ConcatDataset', 'datasets': [part, other]}
    config = Config(
        {
            'model': {
                'rpn_head': {'type': 'RPNHead'},
                'teacher': {'bbox_head': {'num_classes': 7}},
                'roi_head': {'bbox_head': [{'type': 'Shared2FCBBoxHead', 'num_classes': 2}] * 2},
            },
            'train_dataloader': {'dataset': {'type': 'RepeatDataset', 'times': 2, 'dataset': part}},
            'val_dataloader': {'dataset': both},
        }
    )
    cli.check_classes(config, ['train'])
    with pytest.raises(ConfigError, match=r'roi_head\.bbox_head\[0\].*val_.*datasets\[1\] has 3'):
        cli.check_classes(config, ['val'])


def test_work_dir_by_flag_config_and_name() -> None:
    config = Config({})
    cli.set_work_dir(config, 'configs/mine/a.py', None)
    assert Path(config.work_dir) == Path('work_dirs/a')
    cli.set_work_dir(config, 'configs/b.py', None)
    assert Path(config.work_dir) == Path('work_dirs/a')
    cli.set_work_dir(config, 'configs/b.py', 'c')
    assert config.work_dir == 'c'
