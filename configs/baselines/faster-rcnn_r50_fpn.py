"""Faster R-CNN, ResNet50-FPN."""

_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    './_base_/data_512.py',
    './_base_/schedule.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='https://download.pytorch.org/models/resnet50-0676ba61.pth',
        ),
    ),
    roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)),
)
work_dir = 'work_dirs/{{fileBasenameNoExtension}}_{{$CELL_DATA:ccd}}'
