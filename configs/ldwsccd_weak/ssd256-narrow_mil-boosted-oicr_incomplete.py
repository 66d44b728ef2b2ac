"""SSD + MIL whose stages teach one more, on smears of which boxes are missing."""

_base_ = ['./ssd256-narrow_mil-mined_incomplete.py', '../_base_/parts/mil_boosted_oicr.py']

model = dict(mil_head=_base_.mil_boosted_oicr)
