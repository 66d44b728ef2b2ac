"""EfficientDet-D7: D6 at 1536 px."""

_base_ = './efficientdet-d6_ccd.py'

resize = dict(type='Resize', scale=(1536, 1536), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
