"""FSSD512 with VGG16: SSD512's priors and head on the pyramid of one fused map."""

_base_ = ['./ssd512_vgg16.py', '../parts/fssd.py']

model = dict(
    neck=dict(_base_.fssd512, _delete_=True),
    bbox_head=dict(in_channels=_base_.fssd512.out_channels),
)
