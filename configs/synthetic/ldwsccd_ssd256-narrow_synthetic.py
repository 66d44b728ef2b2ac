"""LD-WSCCD on synthetic smears of 256 px: narrow SSD, taught by its like that trained longer.

tools/train.py configs/synthetic/ldwsccd_ssd256-narrow_synthetic.py --amp
"""

_base_ = [
    '../_base_/models/ssd256_vgg11_narrow.py',
    '../_base_/datasets/synthetic_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

max_epochs = 5
teacher = dict(
    config='configs/synthetic/teacher_ssd256_synthetic.py',
    checkpoint='work_dirs/teacher_ssd256_synthetic/epoch_10.pth',
)

model = dict(
    bbox_head=dict(
        # the boxes are 15 to 90 px
        anchor_generator=dict(min_sizes=[18, 32, 52, 76], max_sizes=[32, 52, 76, 110]),
    ),
    teacher=teacher,
    distillation=dict(
        type='LocalDistillationLoss',
        student_channels=(128, 256, 128, 64),
        teacher_channels=(128, 256, 128, 64),
        feature_norm='standardize',
        # 189, 126 and 5 % of the SSD loss at the start, 60, 41 and 6 % at the end of a demo, by
        # tools/analysis_tools/calibrate_distillation.py (docs/distillation.md)
        alpha=5.0,
        beta=2.5,
        gamma=0.5,
    ),
    mil_head=dict(
        type='MILRefinementHead',
        num_classes=11,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=4, sampling_ratio=1),
            out_channels=128,
            featmap_strides=[8],
        ),
        fc_out_channels=256,
    ),
    train_cfg=dict(
        proposal=dict(nms_pre=200, nms=dict(type='nms', iou_threshold=0.7), max_per_img=64)
    ),
    test_cfg=dict(
        # whose scores the boxes get: 'ssd', 'mil' or 'fused'; measured in docs/results.md
        score_source='ssd',
        proposal=dict(nms_pre=300, nms=dict(type='nms', iou_threshold=0.7), max_per_img=64),
    ),
)

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
auto_scale_lr = dict(base_batch_size=8)
