"""Teacher on synthetic smears: the student's own SSD on the same labels, trained longer.

tools/train.py configs/teachers/teacher_ssd256_synthetic.py --amp
"""

_base_ = '../ldwsccd/ssd256-narrow_synthetic.py'

max_epochs = 10

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
