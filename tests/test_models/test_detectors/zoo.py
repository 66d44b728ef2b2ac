"""Tiny versions of mmdet's own detectors, as teachers and students."""

import copy

import torch
from mmdet.registry import MODELS
from mmengine.hub import get_config

from tests.test_models.helpers import NUM_CLASSES


def _resnet_fpn(model):
    model.backbone.update(depth=18, base_channels=8, init_cfg=None)
    model.backbone.norm_cfg.requires_grad = True
    model.neck.update(in_channels=[8, 16, 32, 64], out_channels=16)


def retinanet():
    """Strides 8 to 128, mmdet's ImageNet normalisation in RGB."""
    config = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    _resnet_fpn(config.model)
    config.model.bbox_head.update(
        num_classes=NUM_CLASSES, in_channels=16, feat_channels=8, stacked_convs=1
    )
    return config


def faster_rcnn():
    """Strides 4 to 64."""
    config = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    model = config.model
    _resnet_fpn(model)
    model.rpn_head.update(in_channels=16, feat_channels=8)
    model.roi_head.bbox_roi_extractor.out_channels = 16
    model.roi_head.bbox_head.update(num_classes=NUM_CLASSES, in_channels=16, fc_out_channels=16)
    model.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=30)
    model.test_cfg.rpn.update(nms_pre=50, max_per_img=30)
    model.train_cfg.rcnn.sampler.num = 32
    return config


def yolox():
    """Strides 8 to 32, raw BGR."""
    config = get_config('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py')
    model = config.model
    model.backbone.widen_factor = 0.125
    model.neck.update(in_channels=[32, 64, 128], out_channels=16)
    model.bbox_head.update(num_classes=NUM_CLASSES, in_channels=16, feat_channels=16)
    return config


def rtmdet():
    """Strides 8 to 32, standard deviations near 57 in BGR."""
    config = get_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    model = config.model
    model.backbone.update(widen_factor=0.125, init_cfg=None)
    model.neck.update(in_channels=[32, 64, 128], out_channels=16)
    model.bbox_head.update(num_classes=NUM_CLASSES, in_channels=16, feat_channels=16)
    return config


def save(config, folder, classes=('lsil', 'hsil', 'scc')):
    """Write random weights, always the same; return what ``model.teacher`` takes."""
    model_cfg = config.get('model', config)
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(model_cfg))
    model.init_weights()
    meta = dict(dataset_meta=dict(classes=classes)) if classes else {}
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'teacher.pth')
    # a dict rather than a file: mmengine takes a second to format one
    return dict(config=dict(model=model_cfg), checkpoint=str(folder / 'teacher.pth'))
