"""Blood cells from image labels alone: ImageNet MobileNetV2 + FPN, MIL refinement, SSD head."""

_base_ = [
    '../_base_/models/image_labels_ssd256_mobilenetv2_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_image_labels.py',
    '../_base_/default_runtime.py',
]

model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    mil_head=dict(num_classes=_base_.num_classes),
    supervision=dict(pseudo_warmup=130),  # 5 epochs
    # dark blobs, with the radii of blood cells at 256 px
    proposer=dict(channel='gray', radius_range=(6, 40)),
)
train_dataloader = dict(dataset=dict(ann_file='train_image.json'))
default_hooks = dict(collapse_watch=dict(type='CollapseWatchHook', ann_file='data/bccd/train.json'))
