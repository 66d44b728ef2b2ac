"""RetinaNet, MobileNetV2-FPN."""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/mobilenet_v2.py',
]

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    neck=dict(_base_.mobilenet_v2_fpn, _delete_=True),
    bbox_head=dict(
        num_classes=_base_.num_classes,
        in_channels=96,
        stacked_convs=2,
        feat_channels=96,
        # 16 px first: platelets
        anchor_generator=dict(octave_base_scale=2, strides=[8, 16, 32, 64]),
    ),
)
