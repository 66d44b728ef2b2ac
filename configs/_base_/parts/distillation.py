"""Local distillation (LDM), eq. 9-14: model = dict(distillation=dict(_base_.distillation, ...)).

A leaf adds what its two networks decide: student_channels and teacher_channels, of as many maps as
are to meet, finest first. The first five of SSD512 meet P3 to P7 of an FPN.
"""

# alpha 0.2, beta 0.1, gamma 0.1 (eq. 14): calibrate your own, or give share=0.3, by which the three
# terms are 30 % of the detection loss throughout (docs/distillation.md)
distillation = dict(type='LocalDistillationLoss')
# eq. 8: whole maps, without mask and attention, to measure what these bring
distillation_whole = dict(type='FeatureImitationLoss')
# eq. 12 to the letter, without a denominator and on raw maps; calibrate alpha and beta
distillation_paper = dict(type='LocalDistillationLoss', normalize='sum', feature_norm=None)
# focal and attention loss as published with FGD for RetinaNet (Yang et al., CVPR 2022)
distillation_fgd = dict(
    type='LocalDistillationLoss',
    normalize='fgd',
    feature_norm=None,
    alpha=0.001,
    beta=0.0005,
    gamma=0.001,
)
# besides, what the teacher's SSD head says of each prior; for SSD heads on equal priors:
# model = dict(logit_distillation=_base_.logit_distillation)
logit_distillation = dict(type='LogitDistillationLoss')
