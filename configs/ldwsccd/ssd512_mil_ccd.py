"""Table 4, third row: SSD + MIL refinement."""

_base_ = '../ldwsccd_ssd512.py'

model = dict(teacher=None, distillation=None)
