"""CenterNet as its authors train it: crops of many sizes, and three times as long."""

_base_ = './centernet_mobilenetv2_bccd.py'

flip, colours = _base_.cell_looks
crops = dict(_base_.centernet_crops, crop_size=(256, 256))
load = [*_base_.load_image, _base_.load_boxes, _base_.resize]
looks = [colours, crops, _base_.resize, flip, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=[*load, *looks]))

max_epochs = 60
train_cfg = dict(max_epochs=max_epochs)
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, dict(cosine, end=max_epochs, T_max=max_epochs)]
