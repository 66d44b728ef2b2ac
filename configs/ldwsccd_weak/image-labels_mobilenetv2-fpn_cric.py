r"""Cervical cells from image labels alone: ImageNet MobileNetV2 + FPN, MIL refinement, SSD head.

CRIC's own label of a field is the worst class in it:
tools/dataset_converters/weaken.py data/cric/train.json --out data/cric_weak/train_image.json \
    --image-labels-only --labels record
tools/train.py configs/ldwsccd_weak/image-labels_mobilenetv2-fpn_cric.py --amp
"""

_base_ = [
    '../_base_/models/ssd512_mobilenetv2_fpn.py',
    '../_base_/datasets/cric_detection.py',
    '../_base_/schedules/schedule_image_labels.py',
    '../_base_/default_runtime.py',
    '../_base_/parts/proposals.py',
    '../_base_/parts/mil_image_labels.py',
]

model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    # for 5 epochs the MIL head learns alone; then its boxes teach the SSD head
    supervision=dict(regime='image', pseudo_warmup=85),
    # the regions until then: squares of the labels' size around nuclei
    proposer=dict(
        type='NucleusBlobProposer', sizes=[83], contexts=[], radius_range=(5, 20), max_per_img=200
    ),
    mil_head=dict(_base_.mil_image_labels, num_classes=_base_.num_classes),
    train_cfg=dict(proposal=dict(_base_.proposals, max_per_img=100)),
    test_cfg=dict(score_source='ssd', proposal=dict(_base_.proposals, max_per_img=100)),
)
# the labels lie beside CRIC, the images in it
images = dict(data_root='', data_prefix=dict(img='data/cric/images/'))
train_dataloader = dict(dataset=dict(ann_file='data/cric_weak/train_image.json', **images))
# CorLoc and AP of the pseudo-boxes of training images at each validation
default_hooks = dict(collapse_watch=dict(type='CollapseWatchHook', ann_file='data/cric/train.json'))
