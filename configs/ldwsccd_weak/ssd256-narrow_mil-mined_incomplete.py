"""SSD + MIL with both switches, on smears of which boxes are missing: mined cells are spared.

tools/compare.py configs/ldwsccd_weak/*_incomplete.py --seeds 0 1 2 --amp    # all three rows
"""

_base_ = '../ldwsccd/ldwsccd_ssd256-narrow_synthetic.py'

# tools/dataset_converters/weaken.py data/incomplete/train.json --out ... --drop 0.5
data_root = 'data/incomplete/'

model = dict(
    teacher=None,
    distillation=None,
    # boxes are seeds, and mined regions beside them
    mil_head=dict(gt_seeds=True),
    # no negatives: with 80 % of the boxes missing a cell that is found scores about 0.2
    supervision=dict(ignore_mined_negatives=True, mined_score=0.1, pseudo_warmup=150),
)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root))
