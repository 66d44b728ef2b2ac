"""YOLOv4, with mosaic: 512 x 512 out of four images laid together, in place of Expand and crops.

It starts from scratch. Darknet's weights: tools/model_converters/darknet2mmdet.py.
"""

_base_ = [
    '../_base_/models/yolov4.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # from scratch

size = _base_.resize.scale
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=dict(
            _base_.train_dataloader.dataset,
            pipeline=[*_base_.load_image, _base_.load_boxes, _base_.resize],
        ),
        pipeline=[
            dict(type='Mosaic', img_scale=size, pad_val=114.0),
            dict(type='RandomCrop', crop_size=size, allow_negative_crop=True),
            *_base_.ssd_looks,
            _base_.pack,
        ],
    ),
)
