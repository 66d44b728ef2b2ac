"""Faster R-CNN R18-FPN with local distillation alone."""

_base_ = './faster-rcnn_r18-fpn_ldwsccd_ccd.py'

model = dict(mil_head=None)
