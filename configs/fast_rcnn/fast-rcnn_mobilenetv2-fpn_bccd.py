"""Fast R-CNN, MobileNetV2-FPN, on regions around dark blobs."""

_base_ = [
    'mmdet::_base_/models/fast-rcnn_r50_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_small_pretrained.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/mobilenet_v2.py',
]

model = dict(
    type='ProposerFastRCNN',
    # as measured in docs/proposals.md
    proposer=dict(
        type='NucleusBlobProposer', channel='gray', radius_range=(6, 40), max_per_img=300
    ),
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    neck=dict(_base_.mobilenet_v2_fpn, _delete_=True),
    roi_head=dict(
        bbox_roi_extractor=_base_.mobilenet_v2_roi,
        bbox_head=dict(num_classes=_base_.num_classes, in_channels=96, fc_out_channels=256),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=128))),
)
