"""Table 4, first row on synthetic smears: the SSD student alone."""

_base_ = './ldwsccd_ssd256-narrow_synthetic.py'

model = dict(teacher=None, distillation=None, mil_head=None)
