"""Synthetic smears in data/synthetic/, drawn by tools/dataset_converters/make_synthetic_smears.py.

Training labels may have faults (train.json); the labels of val.json are the truth.
"""

_base_ = './small_detection.py'

data_root = 'data/synthetic/'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
