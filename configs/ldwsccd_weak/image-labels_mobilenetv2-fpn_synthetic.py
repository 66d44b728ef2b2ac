"""Synthetic smears from image labels alone: MobileNetV2 + FPN, MIL refinement, SSD head."""

_base_ = [
    '../_base_/models/image_labels_ssd256_mobilenetv2_fpn.py',
    '../_base_/datasets/synthetic_detection.py',
    '../_base_/schedules/schedule_image_labels.py',
    '../_base_/default_runtime.py',
]

model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    mil_head=dict(num_classes=_base_.num_classes),
    supervision=dict(pseudo_warmup=250),  # 5 epochs
    # as measured in docs/proposals.md
    proposer=dict(contexts=(1, 1.7, 3, 5), radius_range=(5, 30)),
)
train_dataloader = dict(dataset=dict(ann_file='train_image.json'))
watch = dict(type='CollapseWatchHook', ann_file='data/synthetic/train.json')
default_hooks = dict(collapse_watch=watch)
