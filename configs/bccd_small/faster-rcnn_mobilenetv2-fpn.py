"""Faster R-CNN, MobileNetV2-FPN."""

_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './_base_/common.py']

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(2, 4, 7)),
    neck=dict(_base_.fpn, _delete_=True),
    rpn_head=dict(
        in_channels=96,
        feat_channels=96,
        # 16 px first: platelets
        anchor_generator=dict(scales=[2], strides=[8, 16, 32, 64]),
    ),
    roi_head=_base_.roi_head,
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)
optim_wrapper = _base_.fine_tuning
