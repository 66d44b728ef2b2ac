"""RetinaNet, MobileNetV2-FPN."""

_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', './_base_/common.py']

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(2, 4, 7)),
    neck=dict(_base_.fpn, _delete_=True),
    bbox_head=dict(
        num_classes=_base_.num_classes,
        in_channels=96,
        stacked_convs=2,
        feat_channels=96,
        # 16 px first: platelets
        anchor_generator=dict(octave_base_scale=2, strides=[8, 16, 32, 64]),
    ),
)
optim_wrapper = _base_.fine_tuning
