"""Local distillation (LDM), eq. 9-14: model = dict(distillation=dict(_base_.distillation, ...)).

A leaf adds what its two networks decide: student_channels and teacher_channels.
"""

distillation = dict(
    type='LocalDistillationLoss',
    # foreground, background, attention (eq. 14): 9, 5 and 1 % of the SSD loss at the start, 33, 7
    # and 3 % at the end, on CRIC; calibrate your own (docs/distillation.md)
    alpha=0.2,
    beta=0.1,
    gamma=0.1,
    # raw maps saturate eq. 11: one channel got up to 54 of 96 on CRIC (docs/results.md)
    feature_norm='standardize',
)
