"""YOLOv2 as in the published yolov2.cfg: Darknet-19, the passthrough, five anchors, many scales."""

model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[0, 0, 0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        # a new size every ten batches, of 320, 352, ..., 608 px
        batch_augments=[
            dict(
                type='BatchSyncRandomResize',
                random_size_range=(320, 608),
                size_divisor=32,
                interval=10,
            )
        ],
    ),
    backbone=dict(type='Darknet19', out_indices=(4, 5)),
    neck=dict(type='YOLOv2Neck', in_channels=(512, 1024), out_channels=1024),
    bbox_head=dict(
        type='YOLOv2Head',
        num_classes=11,
        in_channels=1024,
        # those of yolov2.cfg, in pixels; your own: ldwsccd anchors
        anchor_generator=dict(
            type='YOLOAnchorGenerator',
            base_sizes=[
                [(18.3, 21.7), (60.0, 66.0), (106.8, 175.2), (252.3, 112.9), (312.7, 293.4)]
            ],
            strides=[32],
        ),
    ),
    train_cfg=None,
    test_cfg=dict(
        score_thr=0.005,
        nms_pre=1000,
        min_bbox_size=0,
        nms=dict(type='nms', iou_threshold=0.45),
        max_per_img=200,
    ),
)
