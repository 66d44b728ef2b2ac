"""Whether two SSD heads speak of the same priors and classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError


def check_same_priors(
    student: Any, teacher: Any, student_scores: Sequence[Tensor], teacher_scores: Sequence[Tensor]
) -> None:
    """Check that one head's logits can teach the other's, prior by prior.

    Args:
        student: An SSD head.
        teacher: An SSD head.
        student_scores: Its logits of an image, (N, A_l * (C + 1), H, W), one a level.
        teacher_scores: The same of the other.

    Raises:
        ConfigError: Their classes differ in number, or their priors, in number, place or size.
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
    sizes = [[len(level) for level in levels] for levels in (ours, theirs)]
    if sizes[0] != sizes[1]:
        raise ConfigError(
            'model.logit_distillation: expected a teacher with the priors of the student, found '
            f'{sizes[1]} priors a level of the teacher and {sizes[0]} of the student; give '
            'bbox_head.anchor_generator the same settings in both, or set logit_distillation=None'
        )
    differ = [
        level
        for level, (a, b) in enumerate(zip(ours, theirs, strict=True))
        if (a - b).abs().max() > 0.5
    ]
    if differ:
        raise ConfigError(
            'model.logit_distillation: expected a teacher with the priors of the student, but '
            f'those of the levels {differ} lie elsewhere or have other sizes; give '
            'bbox_head.anchor_generator the same settings in both, or set logit_distillation=None'
        )
