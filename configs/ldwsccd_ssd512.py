"""LD-WSCCD as in the paper: SSD512-VGG16 student, frozen teacher, MIL refinement, 11 classes."""

_base_ = [
    './_base_/models/ssd512_vgg16.py',
    './_base_/datasets/ccd_detection.py',
    './_base_/schedules/schedule_120e.py',
    './_base_/default_runtime.py',
    './_base_/parts/ldwsccd.py',
]

channels = dict(student_channels=(512, 1024, 512, 256, 256), teacher_channels=(256,) * 5)
model = dict(
    _base_.many_proposals,
    teacher=_base_.teacher_ccd,
    # eq. 9 to 14: ldwsccd_mmdet/models/losses/local_distillation_loss.py
    distillation=dict(_base_.distillation, **channels),
    # eq. 15 and 16: ldwsccd_mmdet/models/roi_heads/mil_refinement_head.py
    mil_head=dict(_base_.mil_head, num_classes=_base_.num_classes),
)
