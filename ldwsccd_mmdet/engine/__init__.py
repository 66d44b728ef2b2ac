"""Run-time side: what a checkpoint may hold, and the optimizer wrapper for the CPU."""

from .checkpoint import allow_checkpoint_globals
from .optimizers import CPUAmpOptimWrapper

# At import, as `custom_imports` is the only thing of ours that runs before mmdet loads weights.
allow_checkpoint_globals()

__all__ = ['CPUAmpOptimWrapper', 'allow_checkpoint_globals']
