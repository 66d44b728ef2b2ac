"""The small schedule in 5 epochs."""

_base_ = './schedule_small.py'

max_epochs = 5

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
