"""Images of 256 px, for models that train on 2 cores: what BCCD and the made-up sets share.

Give data_root, and ann_file where it is not that of the Comparison Detector data.
"""

_base_ = './ccd_detection.py'

resize = dict(type='Resize', scale=(256, 256), keep_ratio=False)

train_pipeline = [*_base_.load_image, _base_.load_boxes, resize, *_base_.cell_looks, _base_.pack]
test_pipeline = [*_base_.load_image, resize, _base_.load_boxes, _base_.pack]

# decoding is light beside training on 2 cores: one worker, so that processes don't fight
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16, num_workers=1, dataset=dict(ann_file='val.json', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
