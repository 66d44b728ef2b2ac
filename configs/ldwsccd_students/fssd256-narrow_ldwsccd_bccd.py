"""LD-WSCCD on blood cells with FSSD's fused pyramid, that is, multi-scale feature fusion.

Its student is ../fssd/fssd256-narrow_bccd.py.
"""

_base_ = ['../ldwsccd/ldwsccd_ssd256-narrow_bccd.py', '../_base_/parts/fssd.py']

channels = _base_.fssd256_narrow.out_channels
model = dict(
    neck=dict(_base_.fssd256_narrow, _delete_=True),
    bbox_head=dict(in_channels=channels),
    distillation=dict(student_channels=channels),
)
