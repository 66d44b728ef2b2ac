r"""Cervical cells from image labels alone: ImageNet MobileNetV2 + FPN, MIL refinement, SSD head.

CRIC's own label of a field is the worst class in it:
tools/dataset_converters/weaken.py ../shared/data/cric/train.json --out data/cric/train_image.json \
    --image-labels-only --labels record
tools/train.py configs/weak_labels/image-labels_mobilenetv2-fpn_cric.py --amp
"""

_base_ = ['../cric/teacher_mobilenetv2-fpn_cric.py', '../_base_/mil/image_labels.py']

max_epochs = 20
# iterations in which the MIL head learns alone (5 epochs); then its pseudo-boxes teach the SSD head
pseudo_warmup = 85

model = dict(
    supervision='image',
    pseudo_warmup=pseudo_warmup,
    # the regions until then: squares of the labels' size around nuclei
    proposer=dict(
        type='NucleusBlobProposer', sizes=[83], contexts=[], radius_range=(5, 20), max_per_img=200
    ),
    mil_head=dict(_base_.image_label_head, num_classes=6),
    train_cfg=dict(
        proposal=dict(nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=100),
    ),
    test_cfg=dict(
        # whose scores the boxes get: 'ssd', 'mil' or 'fused'
        score_source='ssd',
        proposal=dict(nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=100),
    ),
)

# the labels lie here, the images with CRIC
train_dataloader = dict(
    dataset=dict(
        data_root='',
        ann_file='data/cric/train_image.json',
        data_prefix=dict(img='../shared/data/cric/images/'),
    )
)

# CorLoc and AP of the pseudo-boxes of training images at each validation
default_hooks = dict(
    collapse_watch=dict(type='CollapseWatchHook', ann_file='../shared/data/cric/train.json')
)

optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
