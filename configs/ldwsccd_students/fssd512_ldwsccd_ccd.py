"""LD-WSCCD with FSSD's fused pyramid: the "multi-scale feature fusion" that the paper names."""

_base_ = '../ldwsccd_ssd512.py'

channels = (512, 512, 256, 256, 256, 256, 256)

model = dict(
    neck=dict(
        _delete_=True,
        type='FSSDNeck',
        in_channels=(512, 1024),
        out_channels=channels,
        level_strides=(2, 2, 2, 2, 2, 1),
        level_paddings=(1, 1, 1, 1, 1, 1),
        last_kernel_size=4,
    ),
    bbox_head=dict(in_channels=channels),
    distillation=dict(student_channels=channels[:5]),
)
