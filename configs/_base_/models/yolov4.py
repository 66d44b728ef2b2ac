"""YOLOv4 as in the published yolov4.cfg: CSPDarknet53, SPP + PAN, three levels."""

model = dict(
    type='YOLOV4',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[0, 0, 0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(type='CSPDarknet53', deepen_factor=1.0, widen_factor=1.0),
    neck=dict(type='YOLOv4Neck', in_channels=(256, 512, 1024), out_channels=(128, 256, 512)),
    bbox_head=dict(
        type='YOLOv4Head',
        num_classes=11,
        in_channels=(128, 256, 512),
        anchor_generator=dict(
            type='YOLOAnchorGenerator',
            base_sizes=[
                [(12, 16), (19, 36), (40, 28)],
                [(36, 75), (76, 55), (72, 146)],
                [(142, 110), (192, 243), (459, 401)],
            ],
            strides=[8, 16, 32],
        ),
        scale_x_y=(1.2, 1.1, 1.05),
        pos_iou_thr=0.213,
        ignore_iou_thr=0.7,
        label_smoothing=0.0,
        loss_bbox=dict(type='CompleteIoULoss', loss_weight=5.0),
    ),
    train_cfg=None,
    test_cfg=dict(
        score_thr=0.005,
        nms_pre=1000,
        min_bbox_size=0,
        nms=dict(type='diou_nms', iou_threshold=0.45, beta=0.6),
        max_per_img=200,
    ),
)
