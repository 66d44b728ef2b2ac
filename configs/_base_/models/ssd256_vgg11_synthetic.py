"""SSD256 with the narrow VGG11 and priors for the cells of synthetic smears, 15 to 90 px."""

_base_ = './ssd256_vgg11_narrow.py'

model = dict(
    bbox_head=dict(
        anchor_generator=dict(min_sizes=[18, 32, 52, 76], max_sizes=[32, 52, 76, 110]),
    ),
)
