"""Table 4, second row: SSD + local distillation (LDM).

Weights of the terms: as in the base, not calibrated; tools/analysis_tools/calibrate_distillation.py
"""

_base_ = '../ldwsccd_ssd512.py'

model = dict(mil_head=None)
