"""LD-WSCCD on blood cells: narrow SSD256, MobileNetV2-FPN teacher, MIL refinement (Table 4, both).

tools/compare.py configs/bccd --amp    # teacher and all four rows
"""

_base_ = [
    '../_base_/models/ssd256_vgg11_narrow.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

num_classes = 3
teacher = dict(
    config='configs/bccd/teacher_mobilenetv2-fpn_bccd.py',
    checkpoint='work_dirs/teacher_mobilenetv2-fpn_bccd/epoch_40.pth',
)

model = dict(
    bbox_head=dict(num_classes=num_classes),
    teacher=teacher,
    distillation=dict(
        type='LocalDistillationLoss',
        student_channels=(128, 256, 128, 64),
        teacher_channels=(96, 96, 96, 96),
        feature_norm='standardize',
        alpha=2.0,
        beta=1.0,
        gamma=0.2,
    ),
    mil_head=dict(
        type='MILRefinementHead',
        num_classes=num_classes,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=1),
            out_channels=128,
            featmap_strides=[8],
        ),
        num_stages=3,
        fc_out_channels=256,
    ),
    train_cfg=dict(
        proposal=dict(nms_pre=400, nms=dict(type='nms', iou_threshold=0.7), max_per_img=96),
    ),
    test_cfg=dict(
        proposal=dict(nms_pre=400, nms=dict(type='nms', iou_threshold=0.7), max_per_img=100),
    ),
)
