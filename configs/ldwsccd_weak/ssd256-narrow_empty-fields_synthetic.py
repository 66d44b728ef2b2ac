"""Table 4, first row on synthetic smears, where fields without any box teach, too."""

_base_ = '../ldwsccd/ssd256-narrow_synthetic.py'

model = dict(bbox_head=dict(min_negatives=3))
