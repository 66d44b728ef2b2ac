"""Runs on tiny data that several tests start."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')


def run_config(model: dict, root: Path) -> Config:
    """A config that trains ``model`` on the tiny set at ``root`` for one epoch of two steps."""
    load = [dict(type='LoadImageFromFile'), dict(type='VerifyImage')]
    boxes = dict(type='LoadAnnotations', with_bbox=True)
    resize = dict(type='Resize', scale=(64, 64), keep_ratio=False)
    data = dict(
        type='CervicalCellDataset',
        data_root=str(root),
        data_prefix=dict(img='images'),
        metainfo=dict(classes=('lsil', 'hsil', 'scc')),
    )
    val = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            data,
            ann_file='val.json',
            test_mode=True,
            pipeline=[*load, resize, boxes, dict(type='PackDetInputs', meta_keys=KEYS)],
        ),
    )
    metric = dict(type='CocoMetric', ann_file=str(root / 'val.json'), metric='bbox')
    return Config(
        dict(
            default_scope='mmdet',
            custom_imports=dict(imports=['ldwsccd_mmdet'], allow_failed_imports=False),
            model=model,
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    data,
                    ann_file='train.json',
                    filter_cfg=dict(filter_empty_gt=False),
                    pipeline=[*load, boxes, resize, dict(type='PackDetInputs')],
                ),
            ),
            val_dataloader=val,
            test_dataloader=val,
            val_evaluator=metric,
            test_evaluator=metric,
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1),
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='SGD', lr=1e-4, momentum=0.9),
                clip_grad=dict(max_norm=10),
            ),
            param_scheduler=[dict(type='MultiStepLR', milestones=[9], by_epoch=True)],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='CheckpointHook', interval=1, save_best='coco/bbox_mAP'),
            ),
            randomness=dict(seed=0),
        )
    )


def write_config(config: Config, file: Path) -> None:
    """Write a config as Python; unlike ``Config.dump`` without a second of formatting."""
    content = config.to_dict() if isinstance(config, Config) else config
    lines = [f'{key} = {value!r}\n' for key, value in content.items()]
    file.write_text(''.join(lines), encoding='utf-8')


def without_classes(config: Config) -> Config:
    """The config, to learn its classes from the annotation file as the shipped ones do."""
    for stage in ('train', 'val', 'test'):
        config[f'{stage}_dataloader'].dataset.pop('metainfo')
    return config
