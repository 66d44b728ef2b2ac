"""Turns a MIL head into that of WSOD2 (Zeng et al., ICCV 2019): mil_head=_base_.mil_wsod2."""

mil_wsod2 = dict(
    type='WSOD2RefinementHead',
    objectness=dict(type='SuperpixelStraddling'),
    # T_conf and T_nms: all that score so high, or else the best one
    seeds=dict(type='ThresholdSeeds', relative_thr=1e-6, score_thr=0.7, nms_iou=0.3),
)
