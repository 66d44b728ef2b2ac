"""Table 4, second row on composed scenes: SSD + local distillation (LDM)."""

_base_ = './ldwsccd_ssd256-narrow_composed.py'

model = dict(mil_head=None)
