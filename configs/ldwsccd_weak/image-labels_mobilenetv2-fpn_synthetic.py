r"""Synthetic smears from image labels alone: ImageNet MobileNetV2 + FPN, MIL refinement, SSD head.

tools/dataset_converters/weaken.py data/synthetic/train.json \
    --out data/synthetic/train_image.json --image-labels-only
"""

_base_ = [
    '../_base_/models/ssd256_mobilenetv2_fpn.py',
    '../_base_/datasets/synthetic_detection.py',
    '../_base_/schedules/schedule_image_labels.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/proposals.py',
    '../_base_/parts/mil_image_labels.py',
]

model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    # for 5 epochs of 400 smears the MIL head learns alone; then its boxes teach the SSD head
    supervision=dict(regime='image', pseudo_warmup=250),
    # the regions until then, as measured in docs/proposals.md
    proposer=dict(
        type='NucleusBlobProposer', contexts=(1, 1.7, 3, 5), radius_range=(5, 30), max_per_img=200
    ),
    mil_head=dict(_base_.mil_image_labels, num_classes=_base_.num_classes),
    train_cfg=dict(proposal=dict(_base_.proposals, nms_pre=400, max_per_img=100)),
    test_cfg=dict(
        score_source='ssd', proposal=dict(_base_.proposals, nms_pre=400, max_per_img=200)
    ),
)
train_dataloader = dict(dataset=dict(ann_file='train_image.json'))
# CorLoc and AP of the pseudo-boxes of training images at each validation
truth = 'data/synthetic/train.json'
default_hooks = dict(collapse_watch=dict(type='CollapseWatchHook', ann_file=truth))
