"""The SSD student alone on synthetic smears: the baseline of LD-WSCCD."""

_base_ = './ldwsccd_ssd256-narrow_synthetic.py'

model = dict(teacher=None, distillation=None, mil_head=None)
