"""EfficientDet-D0: EfficientNet-B0, three BiFPN cells of 64 channels, heads of three layers."""

norm_cfg = dict(type='BN', momentum=0.01, eps=1e-3)
efficientnets = 'https://download.openmmlab.com/mmclassification/v0/efficientnet/'

model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=128,
    ),
    backbone=dict(
        type='EfficientNet',
        arch='b0',
        drop_path_rate=0.2,
        out_indices=(3, 4, 5),
        norm_cfg=norm_cfg,
        init_cfg=dict(
            type='Pretrained',
            prefix='backbone',
            checkpoint=efficientnets
            + 'efficientnet-b0_3rdparty_8xb32-aa_in1k_20220119-8d939117.pth',
        ),
    ),
    neck=dict(type='BiFPN', in_channels=(40, 112, 320), out_channels=64, num_cells=3),
    bbox_head=dict(
        type='EfficientDetHead',
        num_classes=11,
        in_channels=64,
        num_convs=3,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128],
            center_offset=0.5,
        ),
    ),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0),
        sampler=dict(type='PseudoSampler'),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=200,
    ),
)
