"""Shipped models made narrow, so that a step of one takes a second."""

from __future__ import annotations

from mmdet.registry import MODELS


def shrink(model) -> None:
    """Make a model narrow; its parts stay what they are."""
    backbone, neck = model.backbone, model.neck
    backbone.init_cfg = None  # no network in a test
    heads = [model[key] for key in ('bbox_head', 'rpn_head') if key in model]
    if backbone.type == 'ResNet':
        backbone.update(depth=18, base_channels=8)
        if neck.type == 'FPN':
            neck.update(in_channels=[8, 16, 32, 64], out_channels=16)
        else:
            neck.update(in_channels=64, num_deconv_filters=(16, 16, 16))
        for head in heads:
            head.update(in_channels=16, feat_channels=16)
        if 'roi_head' in model:
            model.roi_head.bbox_roi_extractor.out_channels = 16
            model.roi_head.bbox_head.update(in_channels=16, fc_out_channels=16)
        _shrink_parts(model, (16,) * 5)
    elif backbone.type == 'HourglassNet':
        backbone.update(stage_channels=[16] * 6, stage_blocks=[1] * 6, feat_channel=16)
        model.bbox_head.in_channels = 16
    elif backbone.type == 'Darknet':  # its width is patched in the test
        neck.update(in_channels=[64, 32, 16], out_channels=[32, 16, 16])
        model.bbox_head.update(in_channels=[32, 16, 16], out_channels=[32, 16, 16])
    elif backbone.type == 'EfficientNet':  # its width is patched in the test
        built = MODELS.build(backbone)
        widths = [built.layers[i][-1].linear_conv.conv.out_channels for i in backbone.out_indices]
        neck.update(in_channels=widths, out_channels=16, num_cells=1)
        model.bbox_head.update(in_channels=16, num_convs=1)
    elif backbone.type == 'DSODNet':
        backbone.update(
            stem_channels=(8, 8, 8), growth_rate=8, block_layers=(1, 1, 1, 1), last_channels=8
        )
        levels = len(model.bbox_head.in_channels)
        neck.update(in_channels=(24, 8), half_channels=(8,) * (levels - 1))
        model.bbox_head.in_channels = (24, *(16,) * (levels - 1))
    elif backbone.type == 'YOLOv1Backbone':
        backbone.widen_factor = 0.125
        neck.update(in_channels=128, out_channels=16)
        model.bbox_head.update(in_channels=16, side=2, local_channels=8)
    elif backbone.type == 'Darknet19':
        backbone.widen_factor = 0.125
        neck.update(in_channels=(64, 128), out_channels=32, passthrough_channels=8)
        model.bbox_head.in_channels = 32
    elif backbone.type == 'CSPDarknet53':
        backbone.update(deepen_factor=0.1, widen_factor=0.125)
        neck.update(in_channels=(32, 64, 128), out_channels=(16, 16, 16))
        model.bbox_head.in_channels = (16, 16, 16)
    elif backbone.type in ('CSPDarknet', 'CSPNeXt'):
        backbone.widen_factor = 0.125
        neck.update(in_channels=[32, 64, 128], out_channels=16)
        model.bbox_head.update(in_channels=16, feat_channels=16)
    else:
        backbone.update(depth=11, widen_factor=1 / 16)
        levels = len(model.bbox_head.in_channels)
        if neck.type == 'FSSDNeck':
            widths = (16,) * levels
            neck.update(source_channels=16, fusion_channels=16)
        else:
            widths = (32, 64, *(16,) * (levels - 2))
        neck.update(in_channels=(32, 64), out_channels=widths)
        if neck.type == 'DSSDNeck':
            neck.deconv_channels = 16
            widths = (16,) * levels
            model.bbox_head.module_channels = (8, 16)
        elif neck.type == 'RSSDNeck':
            widths = (sum(widths),) * levels
        model.bbox_head.in_channels = widths
        _shrink_parts(model, widths)


def _shrink_parts(model, widths: tuple[int, ...]) -> None:
    """Fit what LD-WSCCD adds to the student's maps; its teacher is a narrow FPN."""
    if model.get('mil_head'):
        model.mil_head.bbox_roi_extractor.out_channels = widths[0]
        model.mil_head.fc_out_channels = 32
    if model.get('distillation'):
        levels = len(model.distillation.student_channels)
        model.distillation.student_channels = widths[:levels]
        model.distillation.teacher_channels = (16,) * levels
