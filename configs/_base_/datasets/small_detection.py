"""Images of 256 px, for models that train on 2 cores: what synthetic smears and BCCD share.

Give data_root, and ann_file where it is not that of the Comparison Detector data.
"""

_base_ = './ccd_detection.py'

input_size = 256

train_pipeline = [
    dict(type='LoadVerifiedImageFromFile', backend_args=None),
    dict(type='LoadCellAnnotations', with_bbox=True),
    dict(type='Resize', scale=(input_size, input_size), keep_ratio=False),
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
    dict(type='PackCellInputs'),
]
test_pipeline = [
    dict(type='LoadVerifiedImageFromFile', backend_args=None),
    dict(type='Resize', scale=(input_size, input_size), keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

# decoding is light beside training on 2 cores: one worker, so that processes don't fight
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16, num_workers=1, dataset=dict(ann_file='val.json', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
