"""LD-WSCCD with FSSD's fused pyramid: the "multi-scale feature fusion" that the paper names."""

_base_ = ['../ldwsccd_ssd512.py', '../_base_/parts/fssd.py']

channels = _base_.fssd512.out_channels
model = dict(
    neck=dict(_base_.fssd512, _delete_=True),
    bbox_head=dict(in_channels=channels),
    distillation=dict(student_channels=channels[:5]),
)
