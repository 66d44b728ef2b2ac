"""SSD300 with VGG16: six levels, mmdet's SSD300 sizes."""

_base_ = './ssd512_vgg16.py'

channels = (512, 1024, 512, 256, 256, 256)

model = dict(
    neck=dict(
        out_channels=channels,
        level_strides=(2, 2, 1, 1),
        level_paddings=(1, 1, 0, 0),
        last_kernel_size=3,
    ),
    bbox_head=dict(
        in_channels=channels,
        anchor_generator=dict(
            input_size=300,
            basesize_ratio_range=(0.15, 0.9),
            strides=[8, 16, 32, 64, 100, 300],
            ratios=[[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        ),
    ),
)
