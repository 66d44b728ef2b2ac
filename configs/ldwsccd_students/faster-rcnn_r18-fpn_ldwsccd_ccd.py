"""LD-WSCCD with a two-stage student: Faster R-CNN R18-FPN, taught by RetinaNet R50-FPN.

Levels of equal stride are paired: the student's P3 to P6 with the teacher's. The MIL head takes the
RPN's best regions.
"""

_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_24e.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/ldwsccd.py',
]

channels = dict(student_channels=(256,) * 4, teacher_channels=(256,) * 4)
roi_extractor = dict(
    _base_.mil_head.bbox_roi_extractor, out_channels=256, featmap_strides=[4, 8, 16, 32]
)
model = dict(
    type='LDWSCCDTwoStage',
    backbone=dict(depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)),
    teacher=_base_.teacher_ccd,
    distillation=dict(_base_.distillation, **channels),
    mil_head=dict(
        _base_.mil_head, num_classes=_base_.num_classes, bbox_roi_extractor=roi_extractor
    ),
    train_cfg=dict(proposal=dict(max_per_img=256)),
)
