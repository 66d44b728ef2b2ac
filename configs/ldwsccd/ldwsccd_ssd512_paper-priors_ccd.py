"""LD-WSCCD with the priors of eq. 4: S_min = 0.2, S_max = 0.9 of 512 px over seven levels.

The smallest prior has 102 px, far more than a nucleus: expect small cells to be missed.
"""

_base_ = '../ldwsccd_ssd512.py'

model = dict(
    bbox_head=dict(
        anchor_generator=dict(
            basesize_ratio_range=None,
            # s_k = 512 (0.2 + 0.7 (k - 1) / 6); the second size makes s'_k = sqrt(s_k s_{k+1})
            min_sizes=[102.4, 162.1, 221.9, 281.6, 341.3, 401.1, 460.8],
            max_sizes=[162.1, 221.9, 281.6, 341.3, 401.1, 460.8, 520.5],
        ),
    ),
)
