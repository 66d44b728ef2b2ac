"""The paper's set: Comparison Detector data as COCO json in data/ccd/ (train.json, test.json)."""

_base_ = '../parts/pipelines.py'

dataset_type = 'CervicalCellDataset'
data_root = 'data/ccd/'
num_classes = 11
resize = dict(type='Resize', scale=(512, 512), keep_ratio=False)
backend_args = None

train_pipeline = [
    *_base_.load_image,
    _base_.load_boxes,
    *_base_.ssd_crops,
    resize,
    *_base_.ssd_looks,
    _base_.pack,
]
test_pipeline = [*_base_.load_image, resize, _base_.load_boxes, _base_.pack]

train_dataloader = dict(
    batch_size=10,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        # an image without boxes is a negative bag, not waste
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='test.json',
        data_prefix=dict(img='images/'),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

# the truth is what the loader has loaded
val_evaluator = dict(type='CheckedCocoMetric', metric='bbox')
test_evaluator = val_evaluator
