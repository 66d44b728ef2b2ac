"""YOLOX-s."""

_base_ = [
    '../_base_/models/yolox_s.py',
    './_base_/data_512.py',
    './_base_/schedule.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # from scratch
work_dir = 'work_dirs/{{fileBasenameNoExtension}}_{{$CELL_DATA:ccd}}'
