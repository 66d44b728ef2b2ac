"""LD-WSCCD as in the paper; a tenth of train chooses the checkpoint, and test is looked at once.

ldwsccd hold-out data/ccd/train.json --train data/ccd/train_part.json --val data/ccd/val.json
tools/train.py configs/ldwsccd/ldwsccd_ssd512_held-out_ccd.py
"""

_base_ = '../ldwsccd_ssd512.py'

train_dataloader = dict(dataset=dict(ann_file='train_part.json'))
val_dataloader = dict(dataset=dict(ann_file='val.json'))
