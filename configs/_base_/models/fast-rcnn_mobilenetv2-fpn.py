"""Fast R-CNN with MobileNetV2 and FPN, on regions around dark blobs."""

_base_ = ['mmdet::_base_/models/fast-rcnn_r50_fpn.py', '../parts/mobilenet_v2.py']

model = dict(
    type='ProposerFastRCNN',
    # as measured in docs/proposals.md
    proposer=dict(
        type='NucleusBlobProposer', channel='gray', radius_range=(6, 40), max_per_img=300
    ),
    backbone=dict(_base_.mobilenet_v2, _delete_=True),
    # the three maps that regions are cut from: another would learn nothing
    neck=dict(_base_.mobilenet_v2_fpn, _delete_=True, num_outs=3),
    roi_head=dict(
        bbox_roi_extractor=_base_.mobilenet_v2_roi,
        bbox_head=dict(in_channels=96, fc_out_channels=256),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=128))),
)
