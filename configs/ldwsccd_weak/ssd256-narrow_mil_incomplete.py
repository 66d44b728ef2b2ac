"""SSD + MIL as printed, on smears of which boxes are missing."""

_base_ = './ssd256-narrow_mil-mined_incomplete.py'

model = dict(mil_head=dict(gt_seeds=False), supervision=dict(ignore_mined_negatives=False))
