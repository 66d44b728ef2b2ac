"""Tiny models and samples that the model tests share."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

NUM_CLASSES = 3
CHANNELS = (8, 16, 8)
PROPOSAL = dict(nms_pre=100, nms=dict(type='nms', iou_threshold=0.7), max_per_img=20)


def head_cfg(**kwargs):
    """SSD head on three maps of strides 8, 16, 32 for 64 x 64 images."""
    cfg = dict(
        type='SSDStudentHead',
        num_classes=NUM_CLASSES,
        in_channels=CHANNELS,
        anchor_generator=dict(
            type='SSDAnchorGenerator',
            scale_major=False,
            input_size=64,
            strides=[8, 16, 32],
            ratios=[[2], [2, 3], [2]],
            min_sizes=[10, 20, 40],
            max_sizes=[20, 40, 60],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
    )
    cfg.update(kwargs)
    return cfg


def train_cfg():
    return dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.0,
            ignore_iof_thr=-1,
            gt_max_assign_all=False,
        ),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False,
        proposal=PROPOSAL,
    )


def predict_cfg(**kwargs):
    cfg = dict(
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.45),
        min_bbox_size=0,
        score_thr=0.01,
        max_per_img=50,
        proposal=PROPOSAL,
    )
    cfg.update(kwargs)
    return cfg


def sample(boxes, labels, size=(64, 64)):
    """A sample of an image of ``size`` (H, W), scaled by a half from its original."""
    out = DetDataSample()
    out.set_metainfo(
        dict(
            img_id=0,
            img_path='x.png',
            img_shape=size,
            pad_shape=size,
            batch_input_shape=size,
            ori_shape=(2 * size[0], 2 * size[1]),
            scale_factor=(0.5, 0.5),
        )
    )
    out.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )
    return out


def samples():
    """Images with two boxes, one box, none."""
    return [
        sample([[4, 4, 24, 24], [30, 10, 60, 50]], [0, 2]),
        sample([[10, 20, 20, 30]], [1]),
        sample([], []),
    ]


def feats(n=3, sizes=(8, 4, 2), scale=1.0):
    return tuple(torch.randn(n, c, s, s) * scale for c, s in zip(CHANNELS, sizes, strict=True))
