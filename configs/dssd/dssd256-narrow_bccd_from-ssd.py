"""DSSD256 as its authors train it: from a trained SSD (configs/ldwsccd/ssd256-narrow_bccd.py)."""

_base_ = './dssd256-narrow_bccd.py'

# over maps that say something the product is their choice
model = dict(neck=dict(join='product'))
load_from = 'work_dirs/ssd256-narrow_bccd/epoch_40.pth'
