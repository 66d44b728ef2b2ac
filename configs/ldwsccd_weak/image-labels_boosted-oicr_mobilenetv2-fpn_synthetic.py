"""Synthetic smears from image labels alone: the mean of the MIL head's stages teaches one more."""

_base_ = ['./image-labels_mobilenetv2-fpn_synthetic.py', '../_base_/parts/mil_boosted_oicr.py']

model = dict(mil_head=_base_.mil_boosted_oicr)
