"""BCCD: 364 fields of blood, 640 x 480 px, with real boxes of red and white cells and platelets.

tools/dataset_converters/pascal_voc_to_coco.py ../shared/data/bccd --out data/bccd
"""

_base_ = './ccd_detection.py'

data_root = 'data/bccd/'
metainfo = dict(classes=('Platelets', 'RBC', 'WBC'))
scale = (256, 256)

train_pipeline = [
    dict(type='LoadVerifiedImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=scale, keep_ratio=False),
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
test_pipeline = [
    dict(type='LoadVerifiedImageFromFile', backend_args=None),
    dict(type='Resize', scale=scale, keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
dataset = dict(data_root=data_root, metainfo=metainfo)

train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=dict(pipeline=train_pipeline, **dataset)
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(pipeline=test_pipeline, ann_file='val.json', **dataset),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(pipeline=test_pipeline, ann_file='test.json', **dataset),
)

val_evaluator = dict(ann_file=data_root + 'val.json', classwise=True)
test_evaluator = [
    dict(type='CocoMetric', ann_file=data_root + 'test.json', metric='bbox', classwise=True),
    dict(type='CytologyMetric', ann_file=data_root + 'test.json'),
]
