r"""Blood cells from image labels alone: ImageNet MobileNetV2 + FPN, MIL refinement, SSD head.

tools/dataset_converters/weaken.py data/bccd/train.json --out data/bccd/train_image.json \
    --image-labels-only
tools/train.py configs/ldwsccd_weak/image-labels_mobilenetv2-fpn_bccd.py --amp
"""

_base_ = [
    '../_base_/models/ssd256_mobilenetv2_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_image_labels.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/proposals.py',
    '../_base_/parts/mil_image_labels.py',
]

model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    # for 5 epochs the MIL head learns alone; then its boxes teach the SSD head
    supervision=dict(regime='image', pseudo_warmup=130),
    # the regions until then: dark blobs, with the radii of blood cells at 256 px
    proposer=dict(
        type='NucleusBlobProposer', channel='gray', radius_range=(6, 40), max_per_img=200
    ),
    mil_head=dict(_base_.mil_image_labels, num_classes=_base_.num_classes),
    train_cfg=dict(proposal=dict(_base_.proposals, nms_pre=400, max_per_img=100)),
    test_cfg=dict(
        score_source='ssd', proposal=dict(_base_.proposals, nms_pre=400, max_per_img=200)
    ),
)
train_dataloader = dict(dataset=dict(ann_file='train_image.json'))
# CorLoc and AP of the pseudo-boxes of training images at each validation
default_hooks = dict(collapse_watch=dict(type='CollapseWatchHook', ann_file='data/bccd/train.json'))
