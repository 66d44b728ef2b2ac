"""LD-WSCCD as in the paper: SSD512-VGG16 student, frozen teacher, MIL refinement, 11 classes.

tools/train.py configs/teachers/retinanet_r50-fpn_ccd.py    # the teacher first
tools/train.py configs/ldwsccd_ssd512.py                    # Table 4's other rows: ldwsccd/
The paper prints neither the loss weights, T, K nor the teacher: _base_/parts/ has our choice.
"""

_base_ = [
    './_base_/models/ssd512_vgg16.py',
    './_base_/datasets/ccd_detection.py',
    './_base_/schedules/schedule_120e.py',
    './_base_/default_runtime.py',
    './_base_/parts/ldwsccd.py',
]

# the student's first five levels meet the teacher's P3 to P7
channels = dict(student_channels=(512, 1024, 512, 256, 256), teacher_channels=(256,) * 5)
model = dict(
    teacher=_base_.teacher_ccd,
    # eq. 9 to 14: ldwsccd_mmdet/models/losses/local_distillation_loss.py
    distillation=dict(_base_.distillation, **channels),
    # eq. 15 and 16: ldwsccd_mmdet/models/roi_heads/mil_refinement_head.py
    mil_head=dict(_base_.mil_head, num_classes=_base_.num_classes),
    train_cfg=dict(proposal=dict(_base_.proposals, nms_pre=2000, max_per_img=256)),
    test_cfg=dict(proposal=_base_.proposals),
)
