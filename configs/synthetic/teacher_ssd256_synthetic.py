"""Teacher on synthetic smears: the SSD at twice the student's width, trained on the same labels."""

_base_ = './ssd256-narrow_synthetic.py'

model = dict(
    backbone=dict(widen_factor=0.5),
    neck=dict(in_channels=(256, 512), out_channels=(256, 512, 256, 128)),
    bbox_head=dict(in_channels=(256, 512, 256, 128)),
)
