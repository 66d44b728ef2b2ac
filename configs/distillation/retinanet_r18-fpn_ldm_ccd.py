"""A student that is no SSD: RetinaNet R18-FPN, distilled from RetinaNet R50-FPN (P3 to P7).

tools/train.py configs/teachers/retinanet_r50-fpn_ccd.py
tools/train.py configs/distillation/retinanet_r18-fpn_ldm_ccd.py
Not run at full size: the weights of the terms are those of SSD512, see docs/results.md.
"""

_base_ = '../teachers/retinanet_r50-fpn_ccd.py'

teacher = dict(
    config='configs/teachers/retinanet_r50-fpn_ccd.py',
    checkpoint='work_dirs/retinanet_r50-fpn_ccd/epoch_24.pth',
)

model = dict(
    type='LDWSCCD',
    backbone=dict(depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
    teacher=teacher,
    distillation=dict(
        type='LocalDistillationLoss',
        student_channels=(256,) * 5,
        teacher_channels=(256,) * 5,
        feature_norm='standardize',
        # not calibrated (no data here): tools/analysis_tools/calibrate_distillation.py CONFIG
        alpha=0.2,
        beta=0.1,
        gamma=0.1,
    ),
)
