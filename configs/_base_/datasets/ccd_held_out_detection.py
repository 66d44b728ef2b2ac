"""The paper's set, of which a tenth of train chooses the checkpoint: test is looked at once.

In a config that names it in the place of ccd_detection.py nothing else changes.
"""

_base_ = './ccd_detection.py'

train_dataloader = dict(dataset=dict(fold=dict(of=10, leave_out=0)))
val_dataloader = dict(dataset=dict(ann_file='train.json', fold=dict(of=10, only=0)))
