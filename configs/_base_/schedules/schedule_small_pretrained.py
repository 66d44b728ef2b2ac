"""The small schedule for a backbone with ImageNet weights."""

_base_ = './schedule_small.py'

# a rate for new layers would kill the pretrained ones, whose norms keep their statistics
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1)))
)
