"""A student that is no SSD: RetinaNet R18-FPN, distilled from RetinaNet R50-FPN (P3 to P7).

tools/train.py configs/teachers/retinanet_r50-fpn_ccd.py    # the teacher first
tools/train.py configs/ldwsccd_students/retinanet_r18-fpn_ldm_ccd.py
"""

_base_ = ['../teachers/retinanet_r50-fpn_ccd.py', '../_base_/parts/ldwsccd.py']

channels = dict(student_channels=(256,) * 5, teacher_channels=(256,) * 5)
model = dict(
    type='LDWSCCD',
    backbone=dict(depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
    teacher=_base_.teacher_ccd,
    distillation=dict(_base_.distillation, **channels),
    # mined boxes that may be no cell are ignored, not background
    train_cfg=dict(assigner=dict(ignore_iof_thr=0.5)),
)
