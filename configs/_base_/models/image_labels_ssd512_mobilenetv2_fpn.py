"""SSD512 on ImageNet's MobileNetV2 with an FPN, taught by image labels through a MIL head."""

_base_ = ['./ssd512_mobilenetv2_fpn.py', '../parts/image_labels.py']

model = dict(_base_.image_labels)
