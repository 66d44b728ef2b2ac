"""On which levels two SSD heads speak of the same priors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError

TOLERANCE = 0.5  # pixels


def same_priors(
    student: Any, teacher: Any, student_scores: Sequence[Tensor], teacher_scores: Sequence[Tensor]
) -> list[int]:
    """Find the levels on which one head's logits can teach the other's, prior by prior.

    Levels are compared in their order, finest first. On those left out, often the coarsest, whose
    priors are larger than any cell, the teacher's scores teach nothing.

    Args:
        student: An SSD head.
        teacher: An SSD head.
        student_scores: Its logits of an image, (N, A_l * (C + 1), H, W), one a level.
        teacher_scores: The same of the other.

    Returns:
        The levels, counted from 0, whose priors are equal in number, place and size to
        ``TOLERANCE`` pixels of the batch tensor.

    Raises:
        ConfigError: Their classes differ in number, or the priors of all levels do.
    """
    if student.num_classes != teacher.num_classes:
        raise ConfigError(
            'model.logit_distillation: expected a teacher of the same classes, found '
            f'{teacher.num_classes} of the teacher and {student.num_classes} of the student; '
            'train the teacher on them, or set logit_distillation=None'
        )
    ours, theirs = (
        head.prior_generator.grid_priors(
            [score.shape[-2:] for score in scores], dtype=torch.float32, device=scores[0].device
        )
        for head, scores in ((student, student_scores), (teacher, teacher_scores))
    )
    same = [
        level
        for level, (a, b) in enumerate(zip(ours, theirs, strict=False))
        if len(a) == len(b) and (a - b).abs().max() <= TOLERANCE
    ]
    if not same:
        sizes = [[len(level) for level in levels] for levels in (ours, theirs)]
        raise ConfigError(
            'model.logit_distillation: expected a teacher that has the priors of the student on '
            'some level, found none that are equal in number, place and size '
            f'({sizes[1]} priors a level of the teacher, {sizes[0]} of the student); give '
            'bbox_head.anchor_generator the same settings in both, or set logit_distillation=None'
        )
    return same
