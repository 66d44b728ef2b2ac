"""Small YOLOv4 as its authors train it: mosaic, and three times as long."""

_base_ = ['./yolov4-small_bccd.py', '../_base_/parts/mosaic.py']

alone = [*_base_.load_image, _base_.load_boxes, _base_.resize]
images = dict(_base_.train_dataloader.dataset, pipeline=alone)
together = [*_base_.mosaic_256, *_base_.cell_looks, _base_.pack]
mosaics = dict(type='MultiImageMixDataset', dataset=images, pipeline=together)
train_dataloader = dict(dataset=dict(mosaics, _delete_=True))

max_epochs = 60
train_cfg = dict(max_epochs=max_epochs)
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, dict(cosine, end=max_epochs, T_max=max_epochs)]
