"""SSD512 on ImageNet's MobileNetV2 with an FPN, strides 8 to 128: the teacher on CRIC."""

_base_ = ['./ssd512_vgg16.py', '../parts/mobilenet_v2.py']

model = dict(
    data_preprocessor=dict(std=[58.395, 57.12, 57.375]),
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    neck=dict(_base_.mobilenet_v2_fpn, _delete_=True, num_outs=5),
    bbox_head=dict(
        in_channels=(96, 96, 96, 96, 96),
        stacked_convs=1,
        feat_channels=96,
        # the first five levels of SSD512's priors, so that its scores teach each of a student's
        anchor_generator=dict(
            min_sizes=[20, 51, 133, 215, 296],
            max_sizes=[51, 133, 215, 296, 378],
            strides=[8, 16, 32, 64, 128],
            ratios=[[2], [2, 3], [2, 3], [2, 3], [2, 3]],
        ),
    ),
)
