"""The teacher's AP beside the student's: what there is to gain."""

import copy
import logging

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner, autocast

from ...models.detectors.frozen_teacher import FEATURE_PARTS, FrozenTeacher
from .training_state import distilled_student, untouched_training


@HOOKS.register_module()
class TeacherEvaluationHook(Hook):
    """Evaluates the teacher once, at the first validation, on the student's validation data.

    Its metrics stand in the log beside the student's, there and at every later validation, with
    ``teacher/`` before the name (``teacher/coco/bbox_mAP_50``). The teacher gets the images of the
    student's pipeline in its own normalisation; other sizes than it was trained on may cost it a
    little. They are kept in the checkpoint: a resumed run does not evaluate it again. Training
    goes on as if nothing had happened: random states are put back.

    The teacher is left out, and the log says why, if its classes are not those of the data, its
    checkpoint has no weights for its head, or it cannot predict.
    """

    priority = 'NORMAL'  # before LoggerHook, which writes the line

    def __init__(self) -> None:
        self._done = True

    def before_train(self, runner: Runner) -> None:
        """Wait for the first validation of a training; testing needs no teacher."""
        self._done = False

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Evaluate the teacher after the student, once."""
        student = distilled_student(runner)
        if student is None or self._done:
            return
        self._done = True
        if any(name.startswith('val/teacher/') for name in runner.message_hub.log_scalars):
            return  # resumed
        teacher = student.teacher
        assert teacher is not None
        reason = _why_not(teacher, runner.val_dataloader.dataset.metainfo.get('classes', ()))
        if reason is None:
            try:
                with untouched_training():
                    results = _evaluate(teacher, runner)
            except Exception as error:  # a detector of any kind: no reason to end the training
                reason = f'its prediction fails ({type(error).__name__}: {error})'
        if reason is not None:
            print_log(
                f'The AP of the teacher is not shown: {reason}. Its features teach all the same.',
                logger='current',
                level=logging.WARNING,
            )
            return
        for name, value in results.items():
            if isinstance(value, (int, float, np.number)):
                runner.message_hub.update_scalar(f'val/teacher/{name}', float(value))


def _why_not(teacher: FrozenTeacher, classes: tuple[str, ...]) -> str | None:
    """Why a teacher's detections cannot be compared with the data's boxes, or None."""
    head = [key for key in teacher.missing_keys if not key.startswith(FEATURE_PARTS)]
    if head:
        return f'its checkpoint lacks {len(head)} weights of its head, first {head[0]}'
    if teacher.same_classes(classes) is False:
        return 'its classes are not those of the data, in their order'
    return None


@torch.no_grad()
def _evaluate(teacher: FrozenTeacher, runner: Runner) -> dict[str, float]:
    """Run the teacher over the validation data, with an evaluator of its own."""
    evaluator = copy.deepcopy(runner.val_loop.evaluator)
    model = teacher.model
    # moving the student moves the teacher's weights, but tells its preprocessor nothing
    model.to(next(model.parameters()).device)
    with autocast(enabled=getattr(runner.val_loop, 'fp16', False)):
        for batch in runner.val_dataloader:
            evaluator.process(data_samples=model.val_step(batch), data_batch=batch)
    return evaluator.evaluate(len(runner.val_dataloader.dataset))
