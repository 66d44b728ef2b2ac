"""Table 4, third row on synthetic smears: SSD + MIL refinement."""

_base_ = './ldwsccd_ssd256-narrow_synthetic.py'

model = dict(teacher=None, distillation=None)
