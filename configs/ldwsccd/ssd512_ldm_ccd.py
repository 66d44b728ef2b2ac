"""Table 4, second row: SSD + local distillation (LDM)."""

_base_ = '../ldwsccd_ssd512.py'

model = dict(mil_head=None)
