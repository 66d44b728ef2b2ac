"""RTMDet-tiny as its authors train it: mosaic, MixUp, mean weights, three times as long."""

_base_ = ['./rtmdet-tiny_bccd.py', '../_base_/parts/mosaic.py']

load = [*_base_.load_image, _base_.load_boxes, _base_.resize]
mixed = [*_base_.mosaic_rtmdet, *_base_.cell_looks, _base_.mixup_rtmdet, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=[*load, *mixed]))
alone = [*load, *_base_.cell_looks, _base_.pack]
mosaic_end = dict(type='PipelineSwitchHook', switch_epoch=55, switch_pipeline=alone)
custom_hooks = [*_base_.custom_hooks, _base_.mean_weights, mosaic_end]

max_epochs = 60
train_cfg = dict(max_epochs=max_epochs)
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, dict(cosine, end=max_epochs, T_max=max_epochs)]
