"""MIL refinement, eq. 15-16: model = dict(mil_head=dict(_base_.mil_head, num_classes=...))."""

# on the first map of SSD with VGG16, stride 8; K of eq. 16 is num_stages=3
mil_head = dict(
    type='MILRefinementHead',
    bbox_roi_extractor=dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
        out_channels=512,
        featmap_strides=[8],
    ),
)
# on that of a VGG of a quarter of the width
mil_head_narrow = dict(
    type='MILRefinementHead',
    bbox_roi_extractor=dict(
        type='SingleRoIExtractor',
        # a bin of a nucleus is smaller than a cell of the map: one sample will do
        roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=1),
        out_channels=128,
        featmap_strides=[8],
    ),
    fc_out_channels=256,
)
# on that of synthetic smears, whose cells are smaller
mil_head_synthetic = dict(
    mil_head_narrow,
    bbox_roi_extractor=dict(
        mil_head_narrow['bbox_roi_extractor'],
        roi_layer=dict(type='RoIAlign', output_size=4, sampling_ratio=1),
    ),
)
# on the maps of an FPN that a two-stage student has
mil_head_fpn = dict(
    mil_head,
    bbox_roi_extractor=dict(
        mil_head['bbox_roi_extractor'], out_channels=256, featmap_strides=[4, 8, 16, 32]
    ),
)
