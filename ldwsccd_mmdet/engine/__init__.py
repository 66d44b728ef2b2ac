"""Run-time side: what a checkpoint may hold, hooks, and the optimizer wrapper for the CPU."""

from ..process import may_change_process
from .checkpoint import allow_checkpoint_globals
from .checkpoint_addresses import register_checkpoint_addresses
from .hooks import (
    BagAuditHook,
    CollapseWatchHook,
    DistillationGateHook,
    DistillationScheduleHook,
    TeacherEvaluationHook,
)
from .optimizers import CPUAmpOptimWrapper
from .received_files import register_received_files
from .runner import CellRunner

# At import, as `custom_imports` is the only thing of ours that runs before mmdet loads weights.
if may_change_process():
    allow_checkpoint_globals()
    register_checkpoint_addresses()
    register_received_files()

__all__ = [
    'BagAuditHook',
    'CPUAmpOptimWrapper',
    'CellRunner',
    'CollapseWatchHook',
    'DistillationGateHook',
    'DistillationScheduleHook',
    'TeacherEvaluationHook',
    'allow_checkpoint_globals',
    'register_checkpoint_addresses',
    'register_received_files',
]
