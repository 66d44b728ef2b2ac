"""Blood cells from image labels alone: superpixels weigh the regions of the MIL head (WSOD2)."""

_base_ = ['./image-labels_mobilenetv2-fpn_bccd.py', '../_base_/parts/mil_wsod2.py']

model = dict(mil_head=_base_.mil_wsod2)
