"""RetinaNet with MobileNetV2 and FPN."""

_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', '../parts/mobilenet_v2.py']

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    neck=dict(_base_.mobilenet_v2_fpn, _delete_=True),
    bbox_head=dict(
        in_channels=96,
        stacked_convs=2,
        feat_channels=96,
        # 16 px first: platelets
        anchor_generator=dict(octave_base_scale=2, strides=[8, 16, 32, 64]),
    ),
)
