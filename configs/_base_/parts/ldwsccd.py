"""The parts of LD-WSCCD: teachers, distillation, MIL head and its regions."""

_base_ = ['./teachers.py', './distillation.py', './mil.py', './proposals.py']
