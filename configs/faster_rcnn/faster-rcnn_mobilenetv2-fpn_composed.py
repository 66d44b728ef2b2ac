"""Faster R-CNN, MobileNetV2-FPN, on composed scenes (Table 3)."""

_base_ = [
    '../_base_/models/faster-rcnn_mobilenetv2-fpn.py',
    '../_base_/datasets/composed_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
