"""RetinaNet, MobileNetV2-FPN."""

_base_ = [
    '../_base_/models/retinanet_mobilenetv2-fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
