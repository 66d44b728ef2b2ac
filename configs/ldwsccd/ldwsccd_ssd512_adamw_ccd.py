"""LD-WSCCD with the baselines' schedule, and the RetinaNet that is one of them as teacher."""

_base_ = [
    '../_base_/models/ssd512_vgg16.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/ldwsccd.py',
]

channels = dict(student_channels=(512, 1024, 512, 256, 256), teacher_channels=(256,) * 5)
model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    teacher=_base_.teacher_ccd_adamw,
    distillation=dict(_base_.distillation, **channels),
    mil_head=dict(_base_.mil_head, num_classes=_base_.num_classes),
    train_cfg=dict(proposal=dict(_base_.proposals, nms_pre=2000, max_per_img=256)),
    test_cfg=dict(proposal=dict(_base_.proposals, max_per_img=300)),
)
