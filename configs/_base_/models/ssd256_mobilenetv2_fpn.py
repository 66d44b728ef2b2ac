"""SSD256 on ImageNet's MobileNetV2 with an FPN, strides 8 to 64: the teacher on small images."""

_base_ = ['./ssd256_vgg11_narrow.py', '../parts/mobilenet_v2.py']

model = dict(
    data_preprocessor=dict(std=[58.395, 57.12, 57.375]),
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    neck=dict(_base_.mobilenet_v2_fpn, _delete_=True),
    bbox_head=dict(in_channels=(96, 96, 96, 96), stacked_convs=1, feat_channels=96),
)
