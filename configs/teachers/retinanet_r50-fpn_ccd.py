"""Teacher of LD-WSCCD on the paper's set: RetinaNet R50-FPN, P3 to P7 at strides 8 to 128.

tools/train.py configs/teachers/retinanet_r50-fpn_ccd.py
"""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_120e.py',
    '../_base_/default_runtime.py',
]

max_epochs = 24

model = dict(bbox_head=dict(num_classes=11))
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[16, 22]),
]
optim_wrapper = dict(optimizer=dict(lr=5e-3, weight_decay=1e-4))
