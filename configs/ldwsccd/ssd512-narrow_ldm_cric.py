"""Table 4, second row on CRIC: SSD + local distillation (LDM)."""

_base_ = './ldwsccd_ssd512-narrow_cric.py'

model = dict(mil_head=None)
