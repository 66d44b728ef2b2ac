"""The small schedule for image labels: 20 epochs, and a gentler rate for what MIL learns from."""

_base_ = './schedule_small_pretrained.py'

max_epochs = 20

optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
