"""Teacher of the CRIC experiments: ImageNet MobileNetV2 + FPN (strides 8 to 128) with an SSD head.

tools/train.py configs/cric/teacher_mobilenetv2-fpn_cric.py --amp
"""

_base_ = [
    '../_base_/models/ssd512_vgg16.py',
    '../_base_/datasets/cric_detection.py',
    '../_base_/schedules/schedule_small.py',
    '../_base_/default_runtime.py',
]

weights = '../shared/weights/mobilenet_v2_imagenet.pth'

model = dict(
    data_preprocessor=dict(std=[58.395, 57.12, 57.375]),
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(2, 4, 7),
        # the stem and two stages stay as ImageNet left them: three times faster on a CPU
        frozen_stages=3,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=[32, 96, 1280],
        out_channels=96,
        add_extra_convs='on_output',
        num_outs=5,
    ),
    bbox_head=dict(
        num_classes=6,
        in_channels=(96, 96, 96, 96, 96),
        stacked_convs=1,
        feat_channels=96,
        anchor_generator=dict(
            strides=[8, 16, 32, 64, 128],
            ratios=[[2], [2, 3], [2, 3], [2], [2]],
        ),
    ),
)
# a rate for new layers would kill the pretrained ones, whose norms keep their statistics
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1)))
)
