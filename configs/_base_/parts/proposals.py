"""The MIL head's regions, from the SSD head: train_cfg and test_cfg = dict(proposal=...)."""

proposals = dict(nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=64)
# model = dict(_base_.crowded_proposals, ...): a field of CRIC has up to 93 cells, of which
# 64 regions reach 88 % in training, 128 reach 95 %
crowded_proposals = dict(
    train_cfg=dict(proposal=dict(proposals, max_per_img=128)),
    test_cfg=dict(proposal=dict(proposals, max_per_img=128)),
)
# of the 6,080 priors of SSD256
few_proposals = dict(
    train_cfg=dict(proposal=dict(proposals, nms_pre=400, max_per_img=96)),
    test_cfg=dict(proposal=dict(proposals, nms_pre=400, max_per_img=200)),
)
# of the 24,564 priors of SSD512: model = dict(_base_.many_proposals, ...)
many_proposals = dict(
    train_cfg=dict(proposal=dict(proposals, nms_pre=2000, max_per_img=256)),
    test_cfg=dict(proposal=proposals),
)
