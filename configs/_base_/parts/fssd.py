"""FSSD's fused pyramid: model = dict(neck=dict(_base_.fssd512, _delete_=True), ...)."""

# over VGG16 at 512 px
fssd512 = dict(
    type='FSSDNeck',
    in_channels=(512, 1024),
    out_channels=(512, 512, 256, 256, 256, 256, 256),
    level_strides=(2, 2, 2, 2, 2, 1),
    level_paddings=(1, 1, 1, 1, 1, 1),
    last_kernel_size=4,
)
# over a VGG11 of a quarter of the width at 256 px
fssd256_narrow = dict(
    type='FSSDNeck',
    in_channels=(128, 256),
    out_channels=(128, 128, 64, 64),
    level_strides=(2, 2, 2),
    level_paddings=(1, 1, 1),
    last_kernel_size=3,
    source_channels=128,
    fusion_channels=64,
    norm_cfg=dict(type='BN'),
)
