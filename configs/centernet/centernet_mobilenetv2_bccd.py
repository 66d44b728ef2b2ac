"""CenterNet (Objects as Points), MobileNetV2."""

_base_ = [
    '../_base_/models/centernet_r18.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/mobilenet_v2.py',
]

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(6,)),
    neck=dict(in_channels=320, num_deconv_filters=(128, 96, 64)),
    bbox_head=dict(num_classes=_base_.num_classes),
)

test_pipeline = [
    dict(_base_.load_image[0], to_float32=True),
    *_base_.load_image[1:],
    _base_.resize,
    _base_.load_boxes,
    _base_.centernet_pad,
    _base_.pack,
]
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
