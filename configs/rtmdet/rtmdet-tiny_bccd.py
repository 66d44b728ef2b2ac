"""RTMDet-tiny, from scratch and without mosaic."""

_base_ = [
    '../_base_/models/rtmdet_s.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(deepen_factor=0.167, widen_factor=0.375, init_cfg=None),
    neck=dict(in_channels=[96, 192, 384], out_channels=96),
    bbox_head=dict(num_classes=_base_.num_classes, in_channels=96, feat_channels=96),
)
# its levels share their convolutions
optim_wrapper = dict(paramwise_cfg=dict(bypass_duplicate=True))
