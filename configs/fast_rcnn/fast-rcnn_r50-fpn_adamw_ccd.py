"""Fast R-CNN, ResNet50-FPN, on the priors that stand out most from what surrounds them."""

_base_ = [
    'mmdet::_base_/models/fast-rcnn_r50_fpn.py',
    '../_base_/datasets/ccd_detection.py',
    '../_base_/schedules/schedule_adamw_120e.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/resnet50.py',
]

priors = dict(type='AnchorGenerator', strides=[16, 32, 64], ratios=[0.5, 1.0, 2.0], scales=[2, 3])
model = dict(
    type='ProposerFastRCNN',
    proposer=dict(type='PriorProposer', anchor_generator=priors, max_per_img=1000),
    backbone=dict(init_cfg=dict(checkpoint=_base_.resnet50)),
    roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)),
)
