"""MIL head for image labels alone over an FPN of 96 channels, small enough for 2 cores.

model = dict(mil_head=dict(_base_.mil_image_labels, num_classes=...))
"""

mil_image_labels = dict(
    type='MILRefinementHead',
    bbox_roi_extractor=dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=4, sampling_ratio=1),
        out_channels=96,
        featmap_strides=[8],
    ),
    fc_out_channels=256,
    # an image has several cells of a class: several seeds, and regions near none teach nothing
    seeds=dict(type='MISTSeeds'),
    ignore_iou=0.1,
)
