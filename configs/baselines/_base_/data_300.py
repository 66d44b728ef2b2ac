"""The same data at 300 x 300, for SSD300."""

_base_ = './data_512.py'

input_size = 300


def at(pipeline, size):
    """The same pipeline at another image size."""
    return [dict(t, scale=(size, size)) if t['type'] == 'Resize' else t for t in pipeline]


train_pipeline = at(_base_.train_pipeline, input_size)
test_pipeline = at(_base_.test_pipeline, input_size)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
