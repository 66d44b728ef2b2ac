"""YOLOv4, with mosaic: 512 x 512 out of four images laid together, in place of Expand and crops.

It starts from scratch. Darknet's weights: tools/model_converters/darknet2mmdet.py.
"""

_base_ = [
    '../_base_/models/yolov4.py',
    './_base_/data_512.py',
    './_base_/schedule.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # from scratch

_size = (_base_.input_size, _base_.input_size)
_names = [step['type'] for step in _base_.train_pipeline]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=dict(
            _base_.train_dataloader.dataset,
            pipeline=[
                *_base_.train_pipeline[:3],  # load, verify, annotations
                dict(type='Resize', scale=_size, keep_ratio=False),
            ],
        ),
        pipeline=[
            dict(type='Mosaic', img_scale=_size, pad_val=114.0),
            dict(type='RandomCrop', crop_size=_size, allow_negative_crop=True),
            *_base_.train_pipeline[_names.index('Resize') + 1 :],
        ],
    ),
)
work_dir = 'work_dirs/{{fileBasenameNoExtension}}_{{$CELL_DATA:ccd}}'
