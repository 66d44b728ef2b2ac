"""The paper's set, of which a part of train chooses the checkpoint: test is looked at once.

ldwsccd hold-out data/ccd/train.json --train data/ccd/train_part.json --val data/ccd/val.json

In a config that names it in the place of ccd_detection.py nothing else changes.
"""

_base_ = './ccd_detection.py'

train_dataloader = dict(dataset=dict(ann_file='train_part.json'))
val_dataloader = dict(dataset=dict(ann_file='val.json'))
test_dataloader = dict(dataset=dict(ann_file='test.json'))
