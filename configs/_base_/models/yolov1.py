"""YOLOv1 as in the published yolov1.cfg: 7 x 7 cells of 64 px, three boxes each."""

model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[0, 0, 0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
    ),
    backbone=dict(type='YOLOv1Backbone'),
    neck=dict(type='YOLOv1Neck', in_channels=1024, out_channels=1024),
    bbox_head=dict(
        type='YOLOv1Head',
        num_classes=11,
        in_channels=1024,
        side=7,
        stride=64,
        num_boxes=3,
        local_channels=256,
        dropout=0.5,
    ),
    train_cfg=None,
    test_cfg=dict(
        score_thr=0.005,
        nms_pre=1000,
        min_bbox_size=0,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=200,
    ),
)
