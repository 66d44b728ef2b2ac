"""Scenes in data/composed/, pasted from crops of the paper's eleven classes: every box is exact.

tools/dataset_converters/compose_scenes.py data/ccd_crops --out data/composed
"""

_base_ = './small_detection.py'

data_root = 'data/composed/'

train_dataloader = dict(dataset=dict(data_root=data_root))
# no cell is in both sets; there is no third
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='test.json'))
test_dataloader = val_dataloader

val_evaluator = dict(classwise=True)
test_evaluator = val_evaluator
