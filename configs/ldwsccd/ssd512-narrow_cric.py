"""Table 4, first row on CRIC: the SSD student alone."""

_base_ = './ldwsccd_ssd512-narrow_cric.py'

model = dict(teacher=None, distillation=None, logit_distillation=None, mil_head=None)
