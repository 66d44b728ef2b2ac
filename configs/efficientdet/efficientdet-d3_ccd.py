"""EfficientDet-D3: EfficientNet-B3, 6 BiFPN cells of 160 channels, at 896 px."""

_base_ = './efficientdet-d0_adamw_ccd.py'

weights = _base_.efficientnets + 'efficientnet-b3_3rdparty_8xb32-aa_in1k_20220119-5b4887a0.pth'
model = dict(
    backbone=dict(arch='b3', init_cfg=dict(checkpoint=weights)),
    neck=dict(in_channels=(48, 136, 384), out_channels=160, num_cells=6),
    bbox_head=dict(in_channels=160, num_convs=4),
)

resize = dict(type='Resize', scale=(896, 896), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
