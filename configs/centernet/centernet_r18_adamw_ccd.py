"""CenterNet (Objects as Points), ResNet18."""

_base_ = [
    '../_base_/models/centernet_r18.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
float_image = [dict(_base_.load_image[0], to_float32=True), *_base_.load_image[1:]]
test_pipeline = [*float_image, _base_.resize, _base_.load_boxes, _base_.centernet_pad, _base_.pack]
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
