"""YOLOv1 over ImageNet's MobileNetV2, with cells of 32 px: 8 x 8 of them at 256 px."""

_base_ = [
    '../_base_/models/yolov1.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/mobilenet_v2.py',
]

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    neck=dict(in_channels=1280, out_channels=256, stride=1),
    bbox_head=dict(
        num_classes=_base_.num_classes, in_channels=256, side=8, stride=32, local_channels=32
    ),
)
# each number of the connected layer hears 2048 others: at 1e-3 it learns to listen to none
optim_wrapper = dict(optimizer=dict(lr=3e-4))
