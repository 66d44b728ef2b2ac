"""Table 4, first row on composed scenes: the SSD student alone."""

_base_ = './ldwsccd_ssd256-narrow_composed.py'

model = dict(teacher=None, distillation=None, logit_distillation=None, mil_head=None)
