"""Table 4, first row on blood cells: the SSD student alone."""

_base_ = './ldwsccd_ssd256-narrow_bccd.py'

model = dict(teacher=None, distillation=None, mil_head=None)
