"""Table 4, third row on CRIC: SSD + MIL refinement."""

_base_ = './ldwsccd_ssd512-narrow_cric.py'

model = dict(teacher=None, distillation=None, logit_distillation=None)
