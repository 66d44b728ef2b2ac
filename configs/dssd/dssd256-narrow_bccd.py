"""DSSD256, narrow VGG11: SSD256's maps joined from coarse to fine, with prediction modules."""

_base_ = '../ldwsccd/ssd256-narrow_bccd.py'

model = dict(
    # the sum, since it starts from scratch and not from a trained SSD
    neck=dict(type='DSSDNeck', deconv_channels=64, join='sum'),
    bbox_head=dict(type='DSSDHead', in_channels=(64,) * 4, module_channels=(32, 128)),
)
