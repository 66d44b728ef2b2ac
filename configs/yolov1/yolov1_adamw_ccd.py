"""YOLOv1, from scratch, at the 448 px that its connected layer fits."""

_base_ = [
    '../_base_/models/yolov1.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
# gentler than the others: a number of its connected layer hears 12544 others
optim_wrapper = dict(optimizer=dict(lr=1e-4))

resize = dict(type='Resize', scale=(448, 448), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
