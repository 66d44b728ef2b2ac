"""EfficientDet-D1: EfficientNet-B1, 4 BiFPN cells of 88 channels, at 640 px."""

_base_ = './efficientdet-d0_adamw_ccd.py'

weights = _base_.efficientnets + 'efficientnet-b1_3rdparty_8xb32-aa_in1k_20220119-619d8ae3.pth'
model = dict(
    backbone=dict(arch='b1', init_cfg=dict(checkpoint=weights)),
    neck=dict(in_channels=(40, 112, 320), out_channels=88, num_cells=4),
    bbox_head=dict(in_channels=88),
)

resize = dict(type='Resize', scale=(640, 640), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
