"""YOLOv1 of a quarter of the width, with cells of 32 px: 8 x 8 of them at 256 px."""

_base_ = [
    '../_base_/models/yolov1.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=256, out_channels=256, stride=1),
    bbox_head=dict(
        num_classes=_base_.num_classes, in_channels=256, side=8, stride=32, local_channels=32
    ),
)
# gentler than the others: a number of its connected layer hears 2048 others
optim_wrapper = dict(optimizer=dict(lr=3e-4))
