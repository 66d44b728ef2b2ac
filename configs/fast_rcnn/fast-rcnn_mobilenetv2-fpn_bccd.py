"""Fast R-CNN, MobileNetV2-FPN, on regions around dark blobs."""

_base_ = [
    '../_base_/models/fast-rcnn_mobilenetv2-fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
