"""CenterNet with ResNet18 and plain convolutions, as in mmdet."""

model = dict(
    type='CenterNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        norm_eval=False,
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.pytorch.org/models/resnet18-f37072fd.pth',
        ),
    ),
    neck=dict(
        type='CTResNetNeck',
        in_channels=512,
        num_deconv_filters=(256, 128, 64),
        num_deconv_kernels=(4, 4, 4),
        use_dcn=False,
    ),
    bbox_head=dict(
        type='CenterNetHead',
        num_classes=11,
        in_channels=64,
        feat_channels=64,
        loss_center_heatmap=dict(type='GaussianFocalLoss', loss_weight=1.0),
        loss_wh=dict(type='L1Loss', loss_weight=0.1),
        loss_offset=dict(type='L1Loss', loss_weight=1.0),
    ),
    train_cfg=None,
    test_cfg=dict(topk=200, local_maximum_kernel=3, max_per_img=200),
)

# for a training pipeline: crops of many sizes around places, give crop_size; the image as float32
centernet_crops = dict(
    type='RandomCenterCropPad',
    ratios=(0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3),
    mean=[0, 0, 0],
    std=[1, 1, 1],
    to_rgb=True,
    test_pad_mode=None,
)
# for the test pipeline: mmdet's head wants to know how far the image was padded, here not at all
centernet_pad = dict(
    type='RandomCenterCropPad',
    ratios=None,
    border=None,
    mean=[0, 0, 0],
    std=[1, 1, 1],
    to_rgb=True,
    test_mode=True,
    test_pad_mode=['size_divisor', 32],
)
