"""Teacher on blood cells: ImageNet MobileNetV2 + FPN with an SSD head.

tools/train.py configs/teachers/teacher_mobilenetv2-fpn_bccd.py --amp
"""

_base_ = [
    '../_base_/models/ssd256_mobilenetv2_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
