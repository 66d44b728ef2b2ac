"""SSD256 on ImageNet's MobileNetV2 with an FPN, taught by image labels through a MIL head."""

_base_ = ['./ssd256_mobilenetv2_fpn.py', '../parts/image_labels.py']

model = dict(
    _base_.image_labels,
    train_cfg=dict(proposal=dict(_base_.proposals, nms_pre=400, max_per_img=100)),
    test_cfg=dict(
        score_source='ssd', proposal=dict(_base_.proposals, nms_pre=400, max_per_img=200)
    ),
)
