"""YOLOX-nano as its authors train it: mosaic, mean weights, and three times as long."""

_base_ = ['./yolox-nano_bccd.py', '../_base_/parts/mosaic.py']

alone = [*_base_.load_image, _base_.load_boxes, _base_.resize]
images = dict(_base_.train_dataloader.dataset, pipeline=alone)
together = [*_base_.mosaic_yolox, *_base_.cell_looks, _base_.pack]
mosaics = dict(type='MultiImageMixDataset', dataset=images, pipeline=together)
train_dataloader = dict(dataset=dict(mosaics, _delete_=True))
custom_hooks = [*_base_.custom_hooks, _base_.mosaic_yolox_end, _base_.mean_weights]

max_epochs = 60
train_cfg = dict(max_epochs=max_epochs)
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, dict(cosine, end=max_epochs, T_max=max_epochs)]
