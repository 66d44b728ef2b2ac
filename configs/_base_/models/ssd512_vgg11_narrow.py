"""SSD512 whose VGG11 has a quarter of the width and batch norm: trains from scratch on 2 cores."""

_base_ = './ssd512_vgg16.py'

model = dict(
    backbone=dict(depth=11, widen_factor=0.25, norm_cfg=dict(type='BN'), init_cfg=None),
    neck=dict(in_channels=(128, 256), out_channels=(128, 256, 128, 64, 64, 64, 64)),
    bbox_head=dict(in_channels=(128, 256, 128, 64, 64, 64, 64)),
)
