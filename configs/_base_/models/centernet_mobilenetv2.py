"""CenterNet with MobileNetV2."""

_base_ = ['./centernet_r18.py', '../parts/mobilenet_v2.py']

model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(6,)),
    neck=dict(in_channels=320, num_deconv_filters=(128, 96, 64)),
)
