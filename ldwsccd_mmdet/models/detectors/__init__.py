"""Detectors."""

from .frozen_teacher import FrozenTeacher
from .ldwsccd import LDWSCCD
from .ldwsccd_mixin import LDWSCCDMixin

__all__ = ['LDWSCCD', 'FrozenTeacher', 'LDWSCCDMixin']
