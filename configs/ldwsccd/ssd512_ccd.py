"""Table 4, first row: the SSD student alone."""

_base_ = '../ldwsccd_ssd512.py'

model = dict(teacher=None, distillation=None, mil_head=None)
