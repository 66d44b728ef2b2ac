"""Synthetic smears from image labels alone: superpixels weigh the MIL regions (WSOD2)."""

_base_ = ['./image-labels_mobilenetv2-fpn_synthetic.py', '../_base_/parts/mil_wsod2.py']

model = dict(mil_head=_base_.mil_wsod2)
