"""Hooks of training: checkpoints, distillation, weak supervision."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bag_audit_hook import BagAuditHook
from .cell_visualization_hook import CellVisualizationHook
from .collapse_watch_hook import CollapseWatchHook
from .distillation_gate_hook import DistillationGateHook
from .distillation_schedule_hook import DistillationScheduleHook
from .finite_loss_hook import FiniteLossHook
from .loader_truth_hook import LoaderTruthHook
from .progress_hook import ProgressHook
from .score_join_hook import ScoreJoinHook
from .teacher_evaluation_hook import TeacherEvaluationHook

__all__ = [
    'AtomicCheckpointHook',
    'BagAuditHook',
    'CellVisualizationHook',
    'CollapseWatchHook',
    'DistillationGateHook',
    'DistillationScheduleHook',
    'FiniteLossHook',
    'LoaderTruthHook',
    'ProgressHook',
    'ScoreJoinHook',
    'TeacherEvaluationHook',
]
