"""Pipelines that make image labels untrue are refused, wherever the transform hides."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmcv.transforms import TRANSFORMS, BaseTransform
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from ldwsccd_mmdet.engine.hooks.bag_audit_hook import BagAuditHook, refuse_untrue_labels
from ldwsccd_mmdet.engine.runner.cell_runner import CellRunner
from ldwsccd_mmdet.errors import ConfigError
from tests.commands import ROOT
from tests.runs import run_config
from tests.test_models.test_detectors.conftest import mil_cfg, student_cfg

FLIP = dict(type='RandomFlip', prob=0.5)
RESIZE = dict(type='Resize', scale=(64, 64))
EXPAND = dict(type='Expand', ratio_range=(1, 2))
CROP = dict(type='RandomCrop', crop_size=(32, 32))
COLOUR = dict(mean=[0, 0, 0], std=[1, 1, 1], to_rgb=False)
CENTRE = dict(type='RandomCenterCropPad', crop_size=(32, 32), test_pad_mode=None, **COLOUR)


@pytest.fixture(autouse=True)
def _mmdet_scope() -> None:
    register_all_modules(init_default_scope=True)


@TRANSFORMS.register_module(force=True)
class MyOwnCropOfCells(BaseTransform):
    """A user's transform."""

    def transform(self, results: dict) -> dict:
        return results


def held(*transforms: dict) -> SimpleNamespace:
    """What a data set looks like from outside, with a pipeline that is built."""
    return SimpleNamespace(pipeline=TRANSFORMS.build(dict(type='Compose', transforms=transforms)))


ALONE = {
    'RandomCrop': CROP,
    'MinIoURandomCrop': dict(type='MinIoURandomCrop'),
    'RandomCenterCropPad': CENTRE,
    'CenterCrop': dict(type='CenterCrop', crop_size=32),
    'RandomAffine': dict(type='RandomAffine'),
    'RandomShift': dict(type='RandomShift'),
    'TranslateX': dict(type='TranslateX'),
    'Rotate': dict(type='Rotate'),
    'ShearY': dict(type='ShearY'),
    'CutOut': dict(type='CutOut', n_holes=1, cutout_shape=(4, 4)),
    'RandomErasing': dict(type='RandomErasing', n_patches=1, ratio=0.1),
    'Mosaic': dict(type='Mosaic'),
    'CachedMosaic': dict(type='CachedMosaic'),
    'MixUp': dict(type='MixUp'),
    'CachedMixUp': dict(type='CachedMixUp'),
    'CopyPaste': dict(type='CopyPaste'),
    'MyOwnCropOfCells': dict(type='MyOwnCropOfCells'),
}


@pytest.mark.parametrize('name', ALONE)
def test_each_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=rf"regime is 'mixed'.*found {name};.*--tiles 3"):
        refuse_untrue_labels(held(FLIP, ALONE[name], RESIZE), 'mixed')


NESTED = {
    'choice': dict(type='RandomChoice', transforms=[[FLIP], [RESIZE, CROP]]),
    'apply': dict(type='RandomApply', transforms=[CROP], prob=0.1),
    'compose': dict(type='Compose', transforms=[dict(type='Compose', transforms=[CROP])]),
    'order': dict(type='RandomOrder', transforms=[FLIP, CROP]),
    'broadcaster': dict(type='TransformBroadcaster', transforms=[CROP]),
    'auto': dict(type='AutoAugment', policies=[[FLIP], [CROP]]),
    'branches': dict(type='MultiBranch', branch_field=['sup'], sup=[CROP]),
}


@pytest.mark.parametrize('name', NESTED)
def test_nested_ones_too(name):
    with pytest.raises(ConfigError, match='RandomCrop'):
        refuse_untrue_labels(held(NESTED[name]), 'image')


def test_data_sets_in_data_sets(tiny_coco):
    root = tiny_coco()
    config = run_config(student_cfg(), root).train_dataloader.dataset
    config.pipeline = [*config.pipeline[:-1], CROP, config.pipeline[-1]]
    for wrapped in (
        dict(type='RepeatDataset', times=2, dataset=config),
        dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=config),
        dict(type='ConcatDataset', datasets=[config, config]),
        dict(type='MultiImageMixDataset', dataset=config, pipeline=[FLIP]),
    ):
        with pytest.raises(ConfigError, match='found RandomCrop;'):
            refuse_untrue_labels(DATASETS.build(wrapped), 'image')


def test_pipelines_that_a_hook_switches_to():
    hook = SimpleNamespace(switch_pipeline=[FLIP, dict(type='RandomApply', transforms=[CROP])])
    with pytest.raises(ConfigError, match='found RandomCrop;'):
        refuse_untrue_labels([held(FLIP), hook], 'image')


def test_what_leaves_all_cells_may_stay():
    refuse_untrue_labels(
        held(
            FLIP, RESIZE, EXPAND, dict(type='PhotoMetricDistortion'), dict(type='Pad', size=(9, 9))
        ),
        'image',
    )


@pytest.mark.parametrize('regime', ['image', 'mixed', 'box'])
def test_a_training_is_refused_though_its_config_lists_no_hook(tiny_coco, tmp_path, regime):
    root = tiny_coco()
    tiny_coco('val')
    config = run_config(student_cfg(mil_head=mil_cfg(), supervision=dict(regime=regime)), root)
    pipeline = config.train_dataloader.dataset.pipeline
    config.train_dataloader.dataset.pipeline = [*pipeline[:-1], CROP, pipeline[-1]]
    config.work_dir = str(tmp_path / 'run')
    runner = CellRunner.from_cfg(config)
    hooks = [hook for hook in runner.hooks if isinstance(hook, BagAuditHook)]
    assert len(hooks) == 1
    runner._train_loop = runner.build_train_loop(config.train_cfg)
    if regime == 'box':
        hooks[0].before_train(runner)
        return
    with pytest.raises(ConfigError, match=f"regime is '{regime}'"):
        hooks[0].before_train(runner)


def test_no_shipped_config_of_image_labels_crops():
    configs = sorted((ROOT / 'configs').glob('ldwsccd_weak/*.py'))
    regimes = []
    for path in configs:
        config = Config.fromfile(path)
        regime = config.model.get('supervision', {}).get('regime', 'box')
        regimes.append(regime)
        if regime != 'box':
            refuse_untrue_labels([config.train_dataloader.dataset.pipeline], regime)
    assert 'image' in regimes
