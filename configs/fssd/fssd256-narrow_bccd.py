"""FSSD256, narrow VGG11: SSD256's priors and head on the pyramid of one fused map."""

_base_ = ['../ldwsccd/ssd256-narrow_bccd.py', '../_base_/parts/fssd.py']

model = dict(
    neck=dict(_base_.fssd256_narrow, _delete_=True),
    bbox_head=dict(in_channels=_base_.fssd256_narrow.out_channels),
)
