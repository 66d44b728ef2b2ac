"""Teacher on synthetic smears: the SSD at 1.5 times the student's width, on the same labels."""

_base_ = './ssd256-narrow_synthetic.py'

model = dict(
    backbone=dict(widen_factor=0.375),
    neck=dict(in_channels=(192, 384), out_channels=(192, 384, 192, 96)),
    bbox_head=dict(in_channels=(192, 384, 192, 96)),
)
