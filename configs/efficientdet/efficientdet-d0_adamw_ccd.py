"""EfficientDet-D0. D1 to D7 are the same, scaled by one factor, at their own image size."""

_base_ = [
    '../_base_/models/efficientdet_d0.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
