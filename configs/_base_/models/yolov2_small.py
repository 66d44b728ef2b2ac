"""YOLOv2 of a quarter of the width, a map of stride 16 and priors for blood cells at 256 px."""

_base_ = './yolov2.py'

multi_scale = dict(
    type='BatchSyncRandomResize', random_size_range=(192, 320), size_divisor=32, interval=10
)
model = dict(
    data_preprocessor=dict(batch_augments=[multi_scale]),
    backbone=dict(widen_factor=0.25, out_indices=(3, 4)),
    neck=dict(in_channels=(64, 128), out_channels=256, passthrough_channels=16),
    bbox_head=dict(
        in_channels=256,
        # ldwsccd anchors data/bccd/train.json --size 256
        anchor_generator=dict(
            base_sizes=[[(16, 21), (40, 44), (38, 56), (48, 59), (85, 103)]], strides=[16]
        ),
    ),
)
