"""YOLOv4 of a quarter of the width and a third of the depth, with priors for blood cells."""

_base_ = './yolov4.py'

model = dict(
    backbone=dict(deepen_factor=0.33, widen_factor=0.25),
    neck=dict(in_channels=(64, 128, 256), out_channels=(32, 64, 128)),
    bbox_head=dict(
        in_channels=(32, 64, 128),
        # those of yolov3_mobilenetv2.py, the finest level first
        anchor_generator=dict(
            base_sizes=[
                [(13, 17), (15, 20), (19, 24)],
                [(41, 46), (39, 55), (46, 58)],
                [(52, 65), (72, 82), (90, 111)],
            ]
        ),
    ),
)
