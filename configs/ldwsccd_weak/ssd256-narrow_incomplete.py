"""The SSD student alone on smears of which boxes are missing: an unlabelled cell is background."""

_base_ = './ssd256-narrow_mil-mined_incomplete.py'

model = dict(mil_head=None, supervision=dict(ignore_mined_negatives=False))
