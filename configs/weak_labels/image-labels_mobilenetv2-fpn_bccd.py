r"""Blood cells from image labels alone: ImageNet MobileNetV2 + FPN, MIL refinement, SSD head.

tools/dataset_converters/weaken.py data/bccd/train.json --out data/bccd/train_image.json \
    --image-labels-only
tools/train.py configs/weak_labels/image-labels_mobilenetv2-fpn_bccd.py --amp
"""

_base_ = ['../bccd/teacher_mobilenetv2-fpn_bccd.py', '../_base_/mil/image_labels.py']

max_epochs = 20
# iterations in which the MIL head learns alone (5 epochs); then its pseudo-boxes teach the SSD head
pseudo_warmup = 130

model = dict(
    supervision='image',
    pseudo_warmup=pseudo_warmup,
    # the regions until then: dark blobs, with the radii of blood cells at 256 px
    proposer=dict(
        type='NucleusBlobProposer', channel='gray', radius_range=(6, 40), max_per_img=200
    ),
    mil_head=dict(_base_.image_label_head, num_classes=3),
    train_cfg=dict(
        proposal=dict(nms_pre=400, nms=dict(type='nms', iou_threshold=0.7), max_per_img=100),
    ),
    test_cfg=dict(
        # whose scores the boxes get: 'ssd', 'mil' or 'fused'
        score_source='ssd',
        proposal=dict(nms_pre=400, nms=dict(type='nms', iou_threshold=0.7), max_per_img=200),
    ),
)

train_dataloader = dict(dataset=dict(ann_file='train_image.json'))

# CorLoc and AP of the pseudo-boxes of training images at each validation
default_hooks = dict(collapse_watch=dict(type='CollapseWatchHook', ann_file='data/bccd/train.json'))

optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
