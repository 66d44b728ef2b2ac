"""SSD256 with the narrow VGG11: four levels of strides 8 to 64, trains in minutes on 2 cores."""

_base_ = './ssd512_vgg11_narrow.py'

model = dict(
    neck=dict(
        out_channels=(128, 256, 128, 64),
        level_strides=(2, 2),
        level_paddings=(1, 1),
        # batch norm has already brought conv4 to the scale of the other levels
        l2_norm_scale=None,
        last_kernel_size=3,
        norm_cfg=dict(type='BN'),
    ),
    bbox_head=dict(
        in_channels=(128, 256, 128, 64),
        anchor_generator=dict(
            _delete_=True,
            type='SSDAnchorGenerator',
            scale_major=False,
            strides=[8, 16, 32, 64],
            min_sizes=[16, 36, 64, 104],
            max_sizes=[36, 64, 104, 150],
            ratios=[[2], [2, 3], [2, 3], [2]],
        ),
    ),
)
