"""RSSD256, narrow VGG11: every map of SSD256 beside all others, one classifier for all levels."""

_base_ = '../ldwsccd/ssd256-narrow_bccd.py'

model = dict(
    neck=dict(type='RSSDNeck'),
    bbox_head=dict(
        type='RSSDHead',
        # 128 + 256 + 128 + 64
        in_channels=(576,) * 4,
        anchor_generator=dict(ratios=[[2, 3]] * 4),
    ),
)
