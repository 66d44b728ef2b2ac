"""Table 4, second row on synthetic smears: SSD + local distillation (LDM)."""

_base_ = './ldwsccd_ssd256-narrow_synthetic.py'

model = dict(mil_head=None)
