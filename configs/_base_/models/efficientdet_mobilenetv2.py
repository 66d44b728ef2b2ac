"""EfficientDet with MobileNetV2 in place of EfficientNet: two BiFPN cells of 64 channels."""

_base_ = ['./efficientdet_d0.py', '../parts/mobilenet_v2.py']

# D0's momentum of 0.01 leaves the statistics behind the weights in trainings of some 500 steps
norm_cfg = dict(type='BN', momentum=0.1, eps=1e-3)
model = dict(
    backbone=dict(_base_.mobilenet_v2, _delete_=True, out_indices=(2, 4, 6)),
    neck=dict(in_channels=(32, 96, 320), num_cells=2, num_outs=4, norm_cfg=norm_cfg),
    bbox_head=dict(
        num_convs=2,
        norm_cfg=norm_cfg,
        # 16 px first: platelets
        anchor_generator=dict(octave_base_scale=2, strides=[8, 16, 32, 64]),
    ),
)
