"""Faster R-CNN, ResNet50-FPN."""

_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/resnet50.py',
]

model = dict(
    backbone=dict(init_cfg=dict(checkpoint=_base_.resnet50)),
    roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)),
)
