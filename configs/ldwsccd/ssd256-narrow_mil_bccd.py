"""Table 4, third row on blood cells: SSD + MIL refinement."""

_base_ = './ldwsccd_ssd256-narrow_bccd.py'

model = dict(teacher=None, distillation=None)
