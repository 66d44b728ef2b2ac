"""Teacher of LD-WSCCD on the paper's set: RetinaNet R50-FPN, P3 to P7 at strides 8 to 128.

tools/train.py configs/teachers/retinanet_r50-fpn_ccd.py
"""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_24e.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=_base_.num_classes))
