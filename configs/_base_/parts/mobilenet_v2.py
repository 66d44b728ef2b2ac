"""ImageNet's MobileNetV2 and an FPN over it, small enough for 2 cores.

Its weights: data/weights/mobilenet_v2_imagenet.pth, see ../../README.md.
"""

mobilenet_v2 = dict(
    type='MobileNetV2',
    # strides 8, 16 and 32; another detector may take others
    out_indices=(2, 4, 7),
    # the stem and two stages stay as ImageNet left them: three times faster on a CPU
    frozen_stages=3,
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint='data/weights/mobilenet_v2_imagenet.pth'),
)
# strides 8 to 64
mobilenet_v2_fpn = dict(
    type='FPN',
    in_channels=[32, 96, 1280],
    out_channels=96,
    add_extra_convs='on_output',
    num_outs=4,
)
mobilenet_v2_roi = dict(
    # a bin is less than a cell of the map here: one point does
    roi_layer=dict(sampling_ratio=1),
    out_channels=96,
    featmap_strides=[8, 16, 32],
    # boxes below 64 px from the finest map
    finest_scale=32,
)
