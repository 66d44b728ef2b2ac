"""The paper's schedule: 120 epochs, lr 1e-4, weight decay 5e-4, batch 10.

The paper names neither optimiser nor decay steps: SGD with momentum, and steps at 2/3 and 11/12,
are SSD's.
"""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=120, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=120, by_epoch=True, milestones=[80, 110], gamma=0.1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-4, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=35, norm_type=2),
)
# for --auto-scale-lr: the batch size that lr was chosen for
auto_scale_lr = dict(base_batch_size=10)
