"""DSOD300: DSOD512 with six levels and SSD300's priors."""

_base_ = './ssd300_vgg16.py'

model = dict(
    backbone=dict(_delete_=True, type='DSODNet'),
    neck=dict(
        _delete_=True,
        type='DSODNeck',
        in_channels=(800, 256),
        half_channels=(256, 256, 128, 128, 128),
    ),
    bbox_head=dict(type='DSODHead', in_channels=(800, 512, 512, 256, 256, 256)),
)
