"""LD-WSCCD on synthetic smears of 256 px: narrow SSD, taught by its like that trained longer."""

_base_ = [
    '../_base_/models/ssd256_vgg11_synthetic.py',
    '../_base_/datasets/synthetic_detection.py',
    '../_base_/schedules/schedule_small_5e.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/ldwsccd.py',
]

channels = dict(student_channels=(128, 256, 128, 64), teacher_channels=(128, 256, 128, 64))
model = dict(
    teacher=_base_.teacher_synthetic,
    # 189, 126, 5 % of the SSD loss at the start, 60, 41, 6 % at the end (docs/distillation.md)
    distillation=dict(_base_.distillation, alpha=5.0, beta=2.5, gamma=0.5, **channels),
    mil_head=dict(_base_.mil_head_synthetic, num_classes=_base_.num_classes),
    train_cfg=dict(proposal=dict(_base_.proposals, nms_pre=200)),
    test_cfg=dict(proposal=dict(_base_.proposals, nms_pre=300)),
)
