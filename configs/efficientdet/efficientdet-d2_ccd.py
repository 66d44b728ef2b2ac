"""EfficientDet-D2: EfficientNet-B2, 5 BiFPN cells of 112 channels, at 768 px."""

_base_ = './efficientdet-d0_adamw_ccd.py'

weights = _base_.efficientnets + 'efficientnet-b2_3rdparty_8xb32-aa_in1k_20220119-dd61e80b.pth'
model = dict(
    backbone=dict(arch='b2', init_cfg=dict(checkpoint=weights)),
    neck=dict(in_channels=(48, 120, 352), out_channels=112, num_cells=5),
    bbox_head=dict(in_channels=112),
)

resize = dict(type='Resize', scale=(768, 768), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
