"""SPP-Net, first stage: one map an image, a pyramid of 50 bins a region, only the head learns."""

_base_ = '../fast_rcnn/fast-rcnn_mobilenetv2-fpn_bccd.py'

model = dict(
    # all convolutions stay as ImageNet left them, as in the paper
    backbone=dict(out_indices=(4,), frozen_stages=7),
    neck=None,
    roi_head=dict(
        bbox_roi_extractor=dict(
            _delete_=True, type='SPPRoIExtractor', out_channels=96, featmap_strides=[16]
        ),
        # classes only: boxes come in the second stage
        bbox_head=dict(in_channels=96, roi_feat_size=(50, 1), with_reg=False),
    ),
    test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.3))),
)
