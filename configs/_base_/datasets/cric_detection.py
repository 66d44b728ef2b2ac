"""CRIC Cervix subset beside the repository: conventional Pap smears, 6 Bethesda classes.

Every box is a square of fixed size around a nucleus point: report AP50, and train without scale
jitter (the edge of such a box cannot be seen in the image).
"""

_base_ = './ccd_detection.py'

data_root = '../shared/data/cric/'
metainfo = dict(classes=('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc'))

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='VerifyImage', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(512, 512), keep_ratio=False),
    # a smear has no up and no left
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=16,
        contrast_range=(0.8, 1.2),
        saturation_range=(0.8, 1.2),
        hue_delta=8,
    ),
    dict(
        type='PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            # what image labels teach by
            'image_labels',
            'supervision',
        ),
    ),
]

# decoding is light beside training on 2 cores: one worker, so that processes don't fight
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, ann_file='val.json'),
)
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + 'val.json', classwise=True)
test_evaluator = val_evaluator
