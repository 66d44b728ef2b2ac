"""Cervical cells from image labels alone: ImageNet MobileNetV2 + FPN, MIL refinement, SSD head."""

_base_ = [
    '../_base_/models/image_labels_ssd512_mobilenetv2_fpn.py',
    '../_base_/datasets/cric_detection.py',
    '../_base_/schedules/schedule_image_labels.py',
    '../_base_/default_runtime.py',
]

model = dict(
    bbox_head=dict(num_classes=_base_.num_classes),
    mil_head=dict(num_classes=_base_.num_classes),
    supervision=dict(pseudo_warmup=85),  # 5 epochs
    # squares of the labels' size around nuclei
    proposer=dict(sizes=[83], contexts=[], radius_range=(5, 20)),
)
images = dict(data_root='', data_prefix=dict(img='data/cric/images/'))
train_dataloader = dict(dataset=dict(ann_file='data/cric_weak/train_image.json', **images))
default_hooks = dict(collapse_watch=dict(type='CollapseWatchHook', ann_file='data/cric/train.json'))
