"""EfficientDet-D4: EfficientNet-B4, 7 BiFPN cells of 224 channels, at 1024 px."""

_base_ = './efficientdet-d0_adamw_ccd.py'

weights = _base_.efficientnets + 'efficientnet-b4_3rdparty_8xb32-aa_in1k_20220119-45b8bd2b.pth'
model = dict(
    backbone=dict(arch='b4', init_cfg=dict(checkpoint=weights)),
    neck=dict(in_channels=(56, 160, 448), out_channels=224, num_cells=7),
    bbox_head=dict(in_channels=224, num_convs=4),
)

resize = dict(type='Resize', scale=(1024, 1024), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
