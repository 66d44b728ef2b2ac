"""LD-WSCCD on composed scenes: narrow SSD256, MobileNetV2-FPN teacher, MIL (Table 4, both)."""

_base_ = [
    '../_base_/models/ssd256_vgg11_narrow.py',
    '../_base_/datasets/composed_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/ldwsccd.py',
]

channels = dict(student_channels=(128, 256, 128, 64), teacher_channels=(96,) * 4)
model = dict(
    _base_.few_proposals,
    bbox_head=dict(num_classes=_base_.num_classes),
    teacher=_base_.teacher_composed,
    distillation=dict(_base_.distillation, **channels, alpha=2.0, beta=1.0, gamma=0.2),
    logit_distillation=_base_.logit_distillation,
    mil_head=dict(_base_.mil_head_narrow, num_classes=_base_.num_classes),
)
