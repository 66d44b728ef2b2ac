"""YOLOv2, Darknet-19, with a new image size every ten batches.

It starts from scratch. Darknet's weights: tools/model_converters/darknet2mmdet.py.
"""

_base_ = [
    '../_base_/models/yolov2.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # from scratch
