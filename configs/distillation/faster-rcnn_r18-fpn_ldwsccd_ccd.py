"""LD-WSCCD with a two-stage student: Faster R-CNN R18-FPN (P2 to P6), RetinaNet R50-FPN (P3 to P7).

Levels of equal stride are paired: the student's P3 to P6 with the teacher's. The MIL head takes the
RPN's best regions.

tools/train.py configs/teachers/retinanet_r50-fpn_ccd.py
tools/train.py configs/distillation/faster-rcnn_r18-fpn_ldwsccd_ccd.py
Not run at full size: the weights of the terms are those of SSD512, see docs/results.md.
"""

_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_120e.py',
    '../_base_/default_runtime.py',
]

num_classes = 11
max_epochs = 24
teacher = dict(
    config='configs/teachers/retinanet_r50-fpn_ccd.py',
    checkpoint='work_dirs/retinanet_r50-fpn_ccd/epoch_24.pth',
)

model = dict(
    type='LDWSCCDTwoStage',
    backbone=dict(depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(num_classes=num_classes)),
    teacher=teacher,
    distillation=dict(
        type='LocalDistillationLoss',
        student_channels=(256,) * 4,
        teacher_channels=(256,) * 4,
        feature_norm='standardize',
        # not calibrated (no data here): tools/analysis_tools/calibrate_distillation.py CONFIG
        alpha=0.2,
        beta=0.1,
        gamma=0.1,
    ),
    mil_head=dict(
        type='MILRefinementHead',
        num_classes=num_classes,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
        num_stages=3,
        fc_out_channels=1024,
    ),
    train_cfg=dict(proposal=dict(max_per_img=256)),
)

train_cfg = dict(max_epochs=max_epochs, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[16, 22]),
]
optim_wrapper = dict(optimizer=dict(lr=5e-3, weight_decay=1e-4))
