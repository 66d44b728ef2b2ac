"""EfficientDet-D5: EfficientNet-B5, 7 BiFPN cells of 288 channels, at 1280 px."""

_base_ = './efficientdet-d0_adamw_ccd.py'

weights = _base_.efficientnets + 'efficientnet-b5_3rdparty_8xb32-aa_in1k_20220119-2cab8b78.pth'
model = dict(
    backbone=dict(arch='b5', init_cfg=dict(checkpoint=weights)),
    neck=dict(in_channels=(64, 176, 512), out_channels=288, num_cells=7),
    bbox_head=dict(in_channels=288, num_convs=4),
)

resize = dict(type='Resize', scale=(1280, 1280), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
