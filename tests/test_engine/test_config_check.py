"""A wrong setting is one line that names its key, and the nearest right name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ldwsccd_mmdet.engine.argument_types import accepted_arguments, expected_type
from ldwsccd_mmdet.engine.config_check import check_config, check_options, nearest
from ldwsccd_mmdet.engine.config_file import load_config
from ldwsccd_mmdet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
LOADER: dict[str, Any] = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CervicalCellDataset',
        ann_file='train.json',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64))],
    ),
)
SETTINGS: dict[str, Any] = dict(
    model=dict(
        type='LDWSCCD',
        backbone=dict(type='ScaledSSDVGG', depth=11),
        neck=None,
        bbox_head=dict(type='SSDStudentHead', num_classes=3, in_channels=(8, 8)),
        teacher=dict(config='a.py', checkpoint='a.pth'),
        distillation=dict(type='LocalDistillationLoss', student_channels=(8,)),
        supervision=dict(regime='box'),
        test_cfg=dict(nms_pre=10, score_thr=0.1, nms=dict(type='nms', iou_threshold=0.5)),
    ),
    train_dataloader=LOADER,
    val_dataloader=LOADER,
    val_evaluator=dict(type='CocoMetric', metric='bbox'),
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3),
    val_cfg=dict(type='ValLoop'),
    optim_wrapper=dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
        paramwise_cfg=dict(norm_decay_mult=0.0),
    ),
    param_scheduler=[dict(type='MultiStepLR', milestones=[2], by_epoch=True)],
    default_hooks=dict(checkpoint=dict(type='CheckpointHook', save_best='coco/bbox_mAP_50')),
    custom_hooks=[dict(type='DistillationGateHook')],
    env_cfg=dict(dist_cfg=dict(backend='gloo', timeout=300)),
    randomness=dict(seed=0),
)


def changed(key: str, value: Any) -> Config:
    """The settings with one of them set; the last part of the key may be new."""
    settings = copy.deepcopy(SETTINGS)
    *path, last = key.split('.')
    part: Any = settings
    for name in path:
        part = part[int(name)] if isinstance(part, list) else part[name]
    part[last] = value
    return Config(settings)


def test_right_settings_pass() -> None:
    check_config(Config(copy.deepcopy(SETTINGS)))


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        # misspelt: at the top, in mmdet's, torch's and our classes, in dicts without a class
        ('optim_wraper', {}, "optim_wraper: .*'optim_wrapper' is near"),
        ('model.bbox_haed', {}, r"model\.bbox_haed: .*'bbox_head' is near"),
        ('model.backbone.dephts', 11, r"model\.backbone\.dephts: .*'depth' is near"),
        ('model.bbox_head.num_clases', 3, r"model\.bbox_head\.num_clases: .*'num_classes'"),
        ('model.distillation.temprature', 1.0, r"model\.distillation\.temprature: .*'temperature'"),
        ('model.supervision.regim', 'box', r"model\.supervision\.regim: .*'regime'"),
        ('model.teacher.chekpoint', 'a.pth', r"model\.teacher\.chekpoint: .*'checkpoint'"),
        ('model.test_cfg.score_th', 0.1, r"model\.test_cfg\.score_th: .*'score_thr'"),
        ('train_dataloader.batch_sise', 2, r"train_dataloader\.batch_sise: .*'batch_size'"),
        ('train_dataloader.dataset.anfile', 'a', r"dataset\.anfile: .*'ann_file'"),
        ('train_dataloader.dataset.pipeline.1.scael', 1, r"pipeline\.1\.scael: .*'scale'"),
        ('train_cfg.max_epoch', 3, r"train_cfg\.max_epoch: .*'max_epochs'"),
        ('optim_wrapper.optimizer.learning_rate', 1, r'optimizer\.learning_rate: SGD has no'),
        ('optim_wrapper.paramwise_cfg.norm_decay', 0.0, r"norm_decay: .*'norm_decay_mult'"),
        ('param_scheduler.0.milestone', [1], r"param_scheduler\.0\.milestone: .*'milestones'"),
        ('default_hooks.chekpoint', {'interval': 1}, "default_hooks.chekpoint: .*'checkpoint'"),
        ('default_hooks.checkpoint.max_keep_ckpt', 1, "max_keep_ckpt: .*'max_keep_ckpts'"),
        ('env_cfg.cudnn_benchmarks', True, r"env_cfg\.cudnn_benchmarks: .*'cudnn_benchmark'"),
        ('env_cfg.dist_cfg.timeouts', 3, r"dist_cfg\.timeouts: .*'timeout'"),
        ('randomness.sead', 1, r"randomness\.sead: .*'seed'"),
        ('model.backbone.type', 'ScaledSSDVG', r"model\.backbone\.type .*'ScaledSSDVGG' is near"),
        ('custom_hooks.0.type', 'DistilationGateHook', r"0\.type .*'DistillationGateHook' is near"),
        # dicts that are arguments of ours
        ('train_dataloader.dataset.fold', {'off': 3, 'only': 0}, r"fold\.off: .*'of' is near"),
        ('train_dataloader.dataset.fold', {'only': 0}, r'fold\.of: expected the number of parts'),
        ('train_dataloader.dataset.fold', {'of': '3', 'only': 0}, r'fold\.of: expected a whole'),
        ('model.teacher.cache', {'foldr': 'a'}, r"teacher\.cache\.foldr: .*'folder' is near"),
        ('val_evaluator', {'type': 'PseudoBoxMetric', 'collapse': {'area_th': 1}}, "'area_thr' is"),
        (
            'custom_hooks',
            [{'type': 'CollapseWatchHook', 'metric': {'iou_th': 1}}],
            r"0\.metric\.iou_th: .*'iou_thr' is near",
        ),
        ('model.supervision.missing', 'yes', 'supervision.missing'),
        # dicts that mmdet reads key by key
        ('train_dataloader.dataset.filter_cfg', {'filter_empty': True}, "'filter_empty_gt' is"),
        ('train_dataloader.dataset.filter_cfg', {'minsize': 3}, r"minsize: .*'min_size' is near"),
        ('train_dataloader.dataset.filter_cfg', {'min_size': 'big'}, 'min_size: expected pixels'),
        ('train_dataloader.dataset.filter_cfg', {'filter_empty_gt': 'no'}, 'expected True or F'),
        ('train_dataloader.dataset.metainfo', {'CLASSES': ('a',)}, "CLASSES: .*'classes' is near"),
        ('train_dataloader.dataset.metainfo', {'class': ('a',)}, "class: .*'classes' is near"),
        ('train_dataloader.dataset.metainfo', {'pallete': [1]}, "pallete: .*'palette' is near"),
        ('model.test_cfg.nms.iou_thresh', 0.5, r"nms\.iou_thresh: .*'iou_thr"),
        ('model.test_cfg.nms.iou_threshold', 50, r'iou_threshold: expected a number in \[0, 1\]'),
        ('model.test_cfg.nms.type', 'nmss', r"nms\.type is 'nmss', which .*'nms' is near"),
        ('optim_wrapper.clip_grad', {'maxnorm': 1}, r"clip_grad\.maxnorm: .*'max_norm' is near"),
        ('default_hooks.checkpont', {'type': 'CheckpointHook'}, "checkpont: .*'checkpoint' is"),
        # dicts that are something else
        ('default_hooks', 'x', "default_hooks: expected a dict, or a list of them, found 'x'"),
        ('default_hooks.checkpoint', 'x', 'default_hooks.checkpoint: expected a dict with a type'),
        ('custom_hooks', [1], 'custom_hooks.0: expected a dict'),
        ('param_scheduler', 'x', 'param_scheduler: expected a dict'),
        ('optim_wrapper.optimizer', 'SGD', 'optim_wrapper.optimizer: expected a dict'),
        ('optim_wrapper.clip_grad', 5, 'optim_wrapper.clip_grad: expected a dict'),
        ('train_dataloader.dataset', 'x', 'train_dataloader.dataset: expected a dict'),
        ('train_dataloader.dataset.metainfo', 'x', 'dataset.metainfo: expected a dict'),
        ('train_dataloader.dataset.filter_cfg', True, 'dataset.filter_cfg: expected a dict'),
        ('val_evaluator', 'x', 'val_evaluator: expected a dict'),
        ('model', 'x', 'model: expected a dict'),
        ('model.test_cfg', 'x', 'model.test_cfg: expected a dict'),
        ('model.test_cfg.nms', 'x', r'model\.test_cfg\.nms: expected a dict'),
        # numbers that mmdet and mmengine fail on late, or never
        ('model.test_cfg.score_thr', 'high', r'test_cfg\.score_thr: expected a number in \[0, 1'),
        ('model.test_cfg.score_thr', 7, r'test_cfg\.score_thr: expected a number in \[0, 1\]'),
        ('model.test_cfg.max_per_img', 0, r'test_cfg\.max_per_img: expected a whole number'),
        ('model.data_preprocessor', {'std': [0, 1, 1]}, r'preprocessor\.std: expected a list of'),
        ('model.data_preprocessor', {'pad_size_divisor': 0}, r'pad_size_divisor: expected a whole'),
        ('param_scheduler.0.gamma', -1, r'param_scheduler\.0\.gamma: expected a number above 0'),
        ('param_scheduler.0.begin', -5, r'param_scheduler\.0\.begin: expected a whole number'),
        ('param_scheduler.0.milestones', 'x', r'param_scheduler\.0\.milestones: expected a list'),
        # numbers
        ('model.distillation.temperature', float('nan'), r'temperature: expected a .*found nan'),
        ('model.distillation.alpha', -1, r'alpha: expected a number of 0 or more'),
        ('model.distillation.beta', float('inf'), r'beta: expected a finite number'),
        ('model.distillation.student_channels', [-8], r'channels: expected numbers of 0 or more'),
        ('model.bbox_head.min_negatives', 2**40, r'min_negatives: expected a number below'),
        ('optim_wrapper.optimizer.momentum', float('nan'), r'optimizer\.momentum: expected'),
        ('model.test_cfg.score_thr', float('nan'), r'test_cfg\.score_thr: expected a number'),
        ('model.backbone.init_cfg', [{'a': 1}], r'backbone\.init_cfg: expected dict\(type=...\)'),
        # types and ranges
        ('model.distillation.temperature', 'hot', "a number or a list of numbers, found 'hot'"),
        (
            'model.bbox_head.stacked_convs',
            '3',
            r"stacked_convs: expected a whole number, found '3'",
        ),
        ('train_cfg.max_epochs', '12', "train_cfg.max_epochs: expected a whole number .* '12'"),
        ('env_cfg.dist_cfg.timeout', 0, 'dist_cfg.timeout: expected seconds'),
        ('randomness.seed', -3, 'randomness.seed: expected'),
        ('load_from', 3, 'load_from: expected a path'),
        ('train_dataloader', [], 'train_dataloader: expected a dict'),
        # settings that do not go together
        ('train_dataloader.num_workers', 0, 'persistent_workers: .*num_workers is 0'),
        ('train_dataloader.dataset.ann_file', ['a', 'b'], 'ann_file: expected one file.*Concat'),
        ('val_evaluator.ann_file', ['a', 'b'], 'val_evaluator.ann_file: expected one file'),
        ('default_hooks.checkpoint.save_best', 'coco/bbox_mAP50', "'coco/bbox_mAP_50' is near"),
        ('default_hooks.checkpoint.save_best', 'pascal_voc/mAP', 'save_best: .*val_evaluator'),
        ('default_hooks.checkpoint.save_best', 3, 'save_best: expected the name of a value'),
    ],
)
def test_wrong_setting_is_one_line_with_its_key(key: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        check_config(changed(key, value))
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('default_hooks.checkpoint.save_best', 'auto'),
        ('default_hooks.checkpoint.save_best', ['coco/bbox_mAP', 'coco/bbox_mAP_s']),
        ('val_evaluator', [dict(type='CytologyMetric'), dict(type='CocoMetric')]),
        ('train_pipeline', []),  # variables of a file
        ('val_loader', {}),
        ('custom_hooks.0.type', 'my.module.Hook'),  # of the user's, imported when it is built
        ('model.backbone', dict(type='mmdet.ResNet', depth=50, norm_cfg=dict(type='BN'))),
        ('model.distillation.temperature', 1),  # a whole number is a number
        ('train_dataloader.num_workers', 1),
    ],
)
def test_settings_of_other_spellings_pass(key: str, value: Any) -> None:
    check_config(changed(key, value))


@pytest.mark.parametrize(
    ('key', 'expected'),
    [
        ('num_classes', 'num_classes: .* variable of the config file'),
        ('custom_hooks[0].type', r'custom_hooks\.0\.type'),
        ('modle.type', "'model' is near it"),
        ('xyzzy', 'check its spelling'),
    ],
)
def test_option_that_nothing_reads(key: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check_options({key: 1}, {'num_classes': 3, 'model': {}})
    check_options({'model.type': 1, 'work_dir': 'a'}, {})


@pytest.mark.parametrize(
    ('option', 'expected'),
    [
        ('custom_hooks.7.type=A', 'custom_hooks is a list of 1: expected a number from 0 to 0'),
        ('custom_hooks.type=A', "expected a number from 0 to 0 after it, found 'type'"),
        ('work_dir.a=A', "work_dir is 'w', not a dict"),
        ('work_dir=[1,(2]', 'cannot be read'),
    ],
)
def test_option_without_a_place(tmp_path: Path, option: str, expected: str) -> None:
    file = tmp_path / 'a.py'
    file.write_text("custom_hooks = [dict(type='DistillationGateHook')]\nwork_dir = 'w'\n")
    with pytest.raises(ConfigError, match=expected):
        load_config(str(file), [option])
    done = load_config(str(file), ['custom_hooks.0.type=CollapseWatchHook'])
    assert done.custom_hooks[0].type == 'CollapseWatchHook'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ("_base_ = 'base.py'\nhooks = dict(a=1)\n", "'hooks' is a dict here and a list"),
        ('a = nowhere\n', "NameError: name 'nowhere'"),
        ('a = 1 / 0\n', 'ZeroDivisionError'),
        ("custom_imports = dict(imports=['no_such_module'])\n", 'no_such_module'),
        ("_base_ = 'gone.py'\n", 'gone.py'),
    ],
)
def test_config_file_that_cannot_be_run(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / 'base.py').write_text('hooks = [1, 2]\n')
    (tmp_path / 'a.py').write_text(text)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(str(tmp_path / 'a.py'))
    assert '\n' not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize('file', CONFIGS, ids=lambda file: file.stem)
def test_shipped_configs_pass(file: Path) -> None:
    load_config(str(file))


def test_nearest_name() -> None:
    assert nearest('max_epoch', ['max_epochs', 'type']) == 'max_epochs'
    assert nearest('xyzzy', ['max_epochs', 'type']) is None


@pytest.mark.parametrize(
    ('value', 'hint', 'expected'),
    [
        (1, int, None),
        (True, int, 'a whole number'),
        (3.0, int, None),
        (3.5, int, 'a whole number'),
        (1, float, None),
        (None, float | None, None),
        ('1', float | None, 'a number or None'),
        ([1, 2], tuple[int, int], None),
        ([1, 2, 3], tuple[int, int], '2 values (a whole number, a whole number)'),
        (3, dict, 'a dict'),
        ({'a': 1}, dict, None),
        ('a', list[float], 'a list of numbers'),
        (object(), object, None),
    ],
)
def test_types(value: Any, hint: Any, expected: str | None) -> None:
    assert expected_type(value, hint) == expected


def test_arguments_that_are_handed_on() -> None:
    class Base:
        def __init__(self, a: int, b: int) -> None: ...

    class Child(Base):
        def __init__(self, c: int, **kwargs: int) -> None: ...

    assert accepted_arguments(Base) == (('a', 'b'), True)
    assert accepted_arguments(Child) == (('c', 'a', 'b'), False)


def test_a_class_that_a_later_config_brings_is_found() -> None:
    config = Config(dict(custom_hooks=[dict(type='HookOfALaterConfig')]))
    with pytest.raises(ConfigError, match='HookOfALaterConfig'):
        check_config(config)
    HOOKS.register_module(name='HookOfALaterConfig', module=type('Late', (Hook,), {}))
    try:
        check_config(config)
    finally:
        HOOKS.module_dict.pop('HookOfALaterConfig')
