"""LD-WSCCD on blood cells with FSSD's fused pyramid, that is, multi-scale feature fusion.

Its student is ../fssd/fssd256-narrow_bccd.py.
"""

_base_ = '../ldwsccd/ldwsccd_ssd256-narrow_bccd.py'

channels = (128, 128, 64, 64)

model = dict(
    neck=dict(
        _delete_=True,
        type='FSSDNeck',
        in_channels=(128, 256),
        out_channels=channels,
        level_strides=(2, 2, 2),
        level_paddings=(1, 1, 1),
        last_kernel_size=3,
        source_channels=128,
        fusion_channels=64,
        norm_cfg=dict(type='BN'),
    ),
    bbox_head=dict(in_channels=channels),
    distillation=dict(student_channels=channels),
)
