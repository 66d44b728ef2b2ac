"""CenterNet (Objects as Points), MobileNetV2."""

_base_ = ['../_base_/models/centernet_r18.py', './_base_/common.py']

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(6,)),
    neck=dict(in_channels=320, num_deconv_filters=(128, 96, 64)),
    bbox_head=dict(num_classes=_base_.num_classes),
)
optim_wrapper = _base_.fine_tuning

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
