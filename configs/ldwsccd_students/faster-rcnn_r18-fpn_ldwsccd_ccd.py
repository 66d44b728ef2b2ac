"""LD-WSCCD, two-stage: Faster R-CNN R18-FPN, taught by RetinaNet R50-FPN on P3 to P6."""

_base_ = [
    '../_base_/models/faster-rcnn_r18-fpn.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_24e.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/ldwsccd.py',
]

channels = dict(student_channels=(256,) * 4, teacher_channels=(256,) * 4)
model = dict(
    type='LDWSCCDTwoStage',
    roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)),
    teacher=_base_.teacher_ccd,
    distillation=dict(_base_.distillation, **channels),
    mil_head=dict(_base_.mil_head_fpn, num_classes=_base_.num_classes),
    train_cfg=dict(proposal=dict(max_per_img=256)),
)
