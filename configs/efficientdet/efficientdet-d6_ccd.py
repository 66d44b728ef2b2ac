"""EfficientDet-D6: EfficientNet-B6, 8 BiFPN cells of 384 channels, at 1280 px."""

_base_ = './efficientdet-d0_adamw_ccd.py'

weights = _base_.efficientnets + 'efficientnet-b6_3rdparty_8xb32-aa_in1k_20220119-45b03310.pth'
model = dict(
    backbone=dict(arch='b6', init_cfg=dict(checkpoint=weights)),
    neck=dict(in_channels=(72, 200, 576), out_channels=384, num_cells=8),
    bbox_head=dict(in_channels=384, num_convs=5),
)

resize = dict(type='Resize', scale=(1280, 1280), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
