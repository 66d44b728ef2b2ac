"""Teacher on CRIC: ImageNet MobileNetV2 + FPN with an SSD head.

tools/train.py configs/teachers/teacher_mobilenetv2-fpn_cric.py --amp
"""

_base_ = [
    '../_base_/models/ssd512_mobilenetv2_fpn.py',
    '../_base_/datasets/cric_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
