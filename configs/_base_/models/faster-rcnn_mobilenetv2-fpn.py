"""Faster R-CNN with MobileNetV2 and FPN."""

_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../parts/mobilenet_v2.py']

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    neck=dict(_base_.mobilenet_v2_fpn, _delete_=True),
    rpn_head=dict(
        in_channels=96,
        feat_channels=96,
        # 16 px first: platelets
        anchor_generator=dict(scales=[2], strides=[8, 16, 32, 64]),
    ),
    roi_head=dict(
        bbox_roi_extractor=_base_.mobilenet_v2_roi,
        bbox_head=dict(in_channels=96, fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)
