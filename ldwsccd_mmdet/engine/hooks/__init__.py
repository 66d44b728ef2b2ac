"""Hooks of distillation."""

from .distillation_gate_hook import DistillationGateHook
from .distillation_schedule_hook import DistillationScheduleHook
from .teacher_evaluation_hook import TeacherEvaluationHook

__all__ = ['DistillationGateHook', 'DistillationScheduleHook', 'TeacherEvaluationHook']
