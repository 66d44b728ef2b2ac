"""DSOD256 of a third of the growth rate and half the depth: four levels, SSD256's priors."""

_base_ = '../ldwsccd/ssd256-narrow_bccd.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='DSODNet',
        stem_channels=(16, 16, 32),
        growth_rate=16,
        block_layers=(3, 4, 4, 4),
        last_channels=64,
    ),
    neck=dict(_delete_=True, type='DSODNeck', in_channels=(144, 64), half_channels=(64, 64, 32)),
    bbox_head=dict(type='DSODHead', in_channels=(144, 128, 128, 64)),
)
