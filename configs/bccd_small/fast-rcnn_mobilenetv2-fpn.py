"""Fast R-CNN, MobileNetV2-FPN, on regions around dark blobs."""

_base_ = ['mmdet::_base_/models/fast-rcnn_r50_fpn.py', './_base_/common.py']

model = dict(
    type='ProposerFastRCNN',
    # as measured in docs/proposals.md
    proposer=dict(
        type='NucleusBlobProposer', channel='gray', radius_range=(6, 40), max_per_img=300
    ),
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(2, 4, 7)),
    neck=dict(_base_.fpn, _delete_=True),
    roi_head=_base_.roi_head,
    train_cfg=dict(rcnn=dict(sampler=dict(num=128))),
)
optim_wrapper = _base_.fine_tuning
