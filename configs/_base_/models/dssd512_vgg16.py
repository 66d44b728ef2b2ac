"""DSSD512 with VGG16: SSD512's maps joined from coarse to fine, with prediction modules."""

_base_ = './ssd512_vgg16.py'

model = dict(
    neck=dict(type='DSSDNeck', deconv_channels=512),
    bbox_head=dict(type='DSSDHead', in_channels=(512,) * 7, module_channels=(256, 1024)),
)
