"""24 epochs of SGD for FPN detectors with ImageNet weights: RetinaNet, Faster R-CNN."""

_base_ = './schedule_120e.py'

max_epochs = 24

train_cfg = dict(max_epochs=max_epochs, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[16, 22]),
]
optim_wrapper = dict(optimizer=dict(lr=5e-3, weight_decay=1e-4))
