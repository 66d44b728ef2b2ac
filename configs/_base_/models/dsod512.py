"""DSOD512: SSD512's priors and head on densely connected maps that learn from scratch."""

_base_ = './ssd512_vgg16.py'

channels = (800, 512, 512, 256, 256, 256, 256)

model = dict(
    backbone=dict(_delete_=True, type='DSODNet'),
    neck=dict(
        _delete_=True,
        type='DSODNeck',
        in_channels=(800, 256),
        half_channels=(256, 256, 128, 128, 128, 128),
    ),
    bbox_head=dict(type='DSODHead', in_channels=channels),
)
