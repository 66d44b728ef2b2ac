"""YOLOv4 of a quarter of the width and a third of the depth, on composed scenes (Table 3)."""

_base_ = [
    '../_base_/models/yolov4_small.py',
    '../_base_/datasets/composed_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
