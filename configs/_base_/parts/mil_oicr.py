"""MIL head with OICR's published settings (Tang et al., CVPR 2017).

model = dict(mil_head=dict(_base_.mil_oicr, num_classes=...)), optim_wrapper = _base_.oicr_rates.
"""

mil_oicr = dict(
    type='MILRefinementHead',
    fc_out_channels=4096,
    gt_seeds=False,  # mined seeds only
    image_loss_reduction='sum',
    bbox_roi_extractor=dict(
        type='SingleRoIExtractor',
        # on a CPU: dict(type='RoIAlign', output_size=7, pool_mode='max')
        roi_layer=dict(type='RoIPool', output_size=7),
        out_channels=512,
        featmap_strides=[8],
    ),
)
# streams and stages learn ten times faster than the rest; by the parameter's name
oicr_rates = dict(
    paramwise_cfg=dict(
        custom_keys={
            'mil_head.fc_cls': dict(lr_mult=10),
            'mil_head.fc_det': dict(lr_mult=10),
            'mil_head.fc_refine': dict(lr_mult=10),
            'mil_head.fc_box': dict(lr_mult=10),
        }
    )
)
