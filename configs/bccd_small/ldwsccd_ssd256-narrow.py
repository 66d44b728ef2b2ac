"""LD-WSCCD: narrow SSD256, MobileNetV2-FPN teacher, MIL refinement."""

_base_ = '../bccd/ldwsccd_ssd256-narrow_bccd.py'
