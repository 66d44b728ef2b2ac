"""Table 4, third row on composed scenes: SSD + MIL refinement."""

_base_ = './ldwsccd_ssd256-narrow_composed.py'

model = dict(teacher=None, distillation=None, logit_distillation=None)
