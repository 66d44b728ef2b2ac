"""CRIC Cervix subset in data/cric/: conventional Pap smears, 6 Bethesda classes.

Every box is a square of fixed size around a nucleus point: report AP50, and train without scale
jitter (the edge of such a box cannot be seen in the image).
"""

_base_ = './ccd_detection.py'

data_root = 'data/cric/'
num_classes = 6
metainfo = dict(classes=('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc'))

train_pipeline = [
    *_base_.load_image,
    _base_.load_boxes,
    _base_.resize,
    *_base_.cell_looks,
    _base_.pack,
]

# decoding is light beside training on 2 cores: one worker, so that processes don't fight
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, ann_file='val.json'),
)
test_dataloader = val_dataloader

val_evaluator = dict(classwise=True)
test_evaluator = val_evaluator
