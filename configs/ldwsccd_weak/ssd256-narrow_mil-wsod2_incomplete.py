"""SSD + MIL with WSOD2's evidence from superpixels, on smears of which boxes are missing."""

_base_ = ['./ssd256-narrow_mil-mined_incomplete.py', '../_base_/parts/mil_wsod2.py']

model = dict(mil_head=_base_.mil_wsod2)
