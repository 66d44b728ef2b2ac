"""R-CNN, first stage: MobileNetV2 on each region around a dark blob, warped to 64 px."""

_base_ = '../fast_rcnn/fast-rcnn_mobilenetv2-fpn_bccd.py'

model = dict(
    type='RCNN',
    backbone=dict(out_indices=(7,)),
    neck=None,
    roi_head=dict(
        # 4 px of context on each side, the paper's share of the square
        bbox_roi_extractor=dict(
            _delete_=True, type='WarpedRoIExtractor', output_size=64, context=4, out_channels=1280
        ),
        # classes only: boxes come in the second stage
        bbox_head=dict(in_channels=1280, roi_feat_size=2, with_reg=False),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.3))),
)
