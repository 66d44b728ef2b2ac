"""Turns a MIL head into Boosted OICR's (Zeni and Jung, CVPRW 2020): a stage that all others teach.

model = dict(mil_head=_base_.mil_boosted_oicr); type='RefinementDistillationHead' is the stage
without the overlaps that change in the training.
"""

mil_boosted_oicr = dict(type='BoostedOICRHead')
