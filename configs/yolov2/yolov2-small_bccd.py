"""YOLOv2 of a quarter of the width, with a map of stride 16: 16 x 16 cells at 256 px."""

_base_ = [
    '../_base_/models/yolov2_small.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
