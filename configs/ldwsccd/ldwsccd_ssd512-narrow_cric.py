"""LD-WSCCD on CRIC: narrow SSD512, MobileNetV2-FPN teacher, MIL refinement (Table 4, both)."""

_base_ = [
    '../_base_/models/ssd512_vgg11_narrow.py',
    '../_base_/datasets/cric_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/ldwsccd.py',
]

channels = dict(student_channels=(128, 256, 128, 64, 64), teacher_channels=(96,) * 5)
model = dict(
    _base_.crowded_proposals,
    bbox_head=dict(num_classes=_base_.num_classes),
    teacher=_base_.teacher_cric,
    distillation=dict(_base_.distillation, **channels),
    logit_distillation=_base_.logit_distillation,
    mil_head=dict(_base_.mil_head_narrow, num_classes=_base_.num_classes),
)
