"""YOLOv3 with MobileNetV2, and priors for blood cells of 256 px images."""

_base_ = ['./yolov3_d53.py', '../parts/mobilenet_v2.py']

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(2, 4, 6)),
    neck=dict(in_channels=[320, 96, 32], out_channels=[96, 96, 96]),
    bbox_head=dict(
        in_channels=[96, 96, 96],
        out_channels=[96, 96, 96],
        # a level for white cells, one for red cells, one for platelets
        anchor_generator=dict(
            base_sizes=[
                [(52, 65), (72, 82), (90, 111)],
                [(41, 46), (39, 55), (46, 58)],
                [(13, 17), (15, 20), (19, 24)],
            ]
        ),
    ),
)
