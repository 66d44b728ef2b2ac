"""YOLOX-nano, without mosaic."""

_base_ = [
    '../_base_/models/yolox_s.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(widen_factor=0.25, use_depthwise=True),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, use_depthwise=True),
    bbox_head=dict(
        num_classes=_base_.num_classes, in_channels=64, feat_channels=64, use_depthwise=True
    ),
)
