"""YOLOv4, with mosaic: 512 x 512 out of four images laid together, in place of Expand and crops."""

_base_ = [
    '../_base_/models/yolov4.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/mosaic.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # from scratch

alone = [*_base_.load_image, _base_.load_boxes, _base_.resize]
images = dict(_base_.train_dataloader.dataset, pipeline=alone)
together = [*_base_.mosaic_512, *_base_.ssd_looks, _base_.pack]
mosaics = dict(type='MultiImageMixDataset', dataset=images, pipeline=together)
train_dataloader = dict(dataset=dict(mosaics, _delete_=True))
