"""The SSD on CRIC, whose training images keep the order of red, green and blue: a comparison."""

_base_ = '../ldwsccd/ssd512-narrow_cric.py'

looks = [*_base_.load_image, _base_.load_boxes, _base_.resize, *_base_.stain_looks, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=looks))
