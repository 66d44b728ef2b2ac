"""RSSD512 with VGG16: every map of SSD512 beside all others, one classifier for all levels."""

_base_ = './ssd512_vgg16.py'

model = dict(
    neck=dict(type='RSSDNeck'),
    bbox_head=dict(
        type='RSSDHead',
        # 512 + 1024 + 512 + 4 x 256
        in_channels=(3072,) * 7,
        # as many priors at every level, since they share the classifier
        anchor_generator=dict(ratios=[[2, 3]] * 7),
    ),
)
