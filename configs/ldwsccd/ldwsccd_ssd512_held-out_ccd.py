"""LD-WSCCD as in the paper; a tenth of train chooses the checkpoint, and test is looked at once."""

_base_ = '../ldwsccd_ssd512.py'

train_dataloader = dict(dataset=dict(fold=dict(of=10, leave_out=0)))
val_dataloader = dict(dataset=dict(ann_file='train.json', fold=dict(of=10, only=0)))
