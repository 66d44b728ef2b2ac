"""What the small detectors on blood cells share: data, schedule and, most of them, the backbone."""

_base_ = [
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/schedule_small.py',
    '../../_base_/default_runtime.py',
]

num_classes = 3

# that of ../bccd/teacher_mobilenetv2-fpn_bccd.py; a detector takes the maps that it needs
mobilenet_v2 = dict(
    type='MobileNetV2',
    frozen_stages=3,
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint='../shared/weights/mobilenet_v2_imagenet.pth'),
)
# for detectors with it; a rate for new layers would kill the pretrained ones
fine_tuning = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1)))
)
# strides 8 to 64
fpn = dict(
    type='FPN',
    in_channels=[32, 96, 1280],
    out_channels=96,
    add_extra_convs='on_output',
    num_outs=4,
)
roi_head = dict(
    bbox_roi_extractor=dict(
        # a bin is less than a cell of the map here: one point does
        roi_layer=dict(sampling_ratio=1),
        out_channels=96,
        featmap_strides=[8, 16, 32],
        # boxes below 64 px from the finest map
        finest_scale=32,
    ),
    bbox_head=dict(num_classes=num_classes, in_channels=96, fc_out_channels=256),
)
