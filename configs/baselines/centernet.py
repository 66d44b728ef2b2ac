"""CenterNet (Objects as Points), ResNet18."""

_base_ = [
    '../_base_/models/centernet_r18.py',
    './_base_/data_512.py',
    './_base_/schedule.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))

# mmdet's head wants to know how far the image was padded: here not at all
test_pipeline = [
    dict(_base_.test_pipeline[0], to_float32=True),
    *_base_.test_pipeline[1:-1],
    dict(
        type='RandomCenterCropPad',
        ratios=None,
        border=None,
        mean=[0, 0, 0],
        std=[1, 1, 1],
        to_rgb=True,
        test_mode=True,
        test_pad_mode=['size_divisor', 32],
    ),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'border'),
    ),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
work_dir = 'work_dirs/{{fileBasenameNoExtension}}_{{$CELL_DATA:ccd}}'
