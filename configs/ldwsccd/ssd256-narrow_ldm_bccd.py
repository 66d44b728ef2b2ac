"""Table 4, second row on blood cells: SSD + local distillation (LDM)."""

_base_ = './ldwsccd_ssd256-narrow_bccd.py'

model = dict(mil_head=None)
