"""LD-WSCCD: SSD512, taught by the RetinaNet of this folder, with MIL refinement.

First train the teacher: tools/train.py configs/baselines/retinanet_r50_fpn.py
"""

_base_ = [
    '../_base_/models/ssd512_vgg16.py',
    './_base_/data_512.py',
    './_base_/schedule.py',
    '../_base_/default_runtime.py',
]

model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    teacher=dict(
        config='configs/baselines/retinanet_r50_fpn.py',
        checkpoint='work_dirs/retinanet_r50_fpn_{{$CELL_DATA:ccd}}/epoch_120.pth',
    ),
    distillation=dict(
        type='LocalDistillationLoss',
        # the student's first five levels meet P3 to P7
        student_channels=(512, 1024, 512, 256, 256),
        teacher_channels=(256, 256, 256, 256, 256),
        alpha=0.2,
        beta=0.1,
        gamma=0.1,
        feature_norm='standardize',
    ),
    mil_head=dict(
        type='MILRefinementHead',
        num_classes=_base_.num_classes,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
            out_channels=512,
            featmap_strides=[8],
        ),
        num_stages=3,
        fc_out_channels=1024,
    ),
    train_cfg=dict(
        proposal=dict(nms_pre=2000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=256),
    ),
    test_cfg=dict(
        proposal=dict(nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=300),
    ),
)
work_dir = 'work_dirs/{{fileBasenameNoExtension}}_{{$CELL_DATA:ccd}}'
