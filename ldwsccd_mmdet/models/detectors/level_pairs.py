"""Which level of the student learns from which level of the teacher."""

import math
from collections.abc import Sequence

from torch import Tensor

from ...errors import ConfigError
from ..losses.local_distillation_loss import SAME_STRIDE

LevelPairs = tuple[tuple[int, int], ...]


def feature_strides(feats: Sequence[Tensor], input_size: tuple[int, int]) -> list[float]:
    """Pixels of the batch tensor a cell of each map covers, from the sizes that the maps have.

    Args:
        feats: Maps (N, C, H, W), one a level.
        input_size: (H_in, W_in) of the padded batch tensor.

    Returns:
        Per level the side, in pixels, of a square of a cell's area: 8.0 for 64 x 64 of 512 x 512.
    """
    pixels = input_size[0] * input_size[1]
    return [math.sqrt(pixels / (feat.shape[2] * feat.shape[3])) for feat in feats]


def pair_levels(
    student_feats: Sequence[Tensor],
    teacher_feats: Sequence[Tensor],
    input_size: tuple[int, int],
    num_pairs: int,
) -> LevelPairs:
    """Pair the levels of equal stride.

    Two levels are a pair if each is the other's nearest in stride, and their strides differ by less
    than half an octave: 38 and 37 cells of 300 px are one level, 3 and 2 cells are not.

    Args:
        student_feats: The student's maps.
        teacher_feats: The teacher's maps, of the same batch tensor.
        input_size: (H_in, W_in) of the padded batch tensor.
        num_pairs: How many levels ``distillation`` was given channels for; of more pairs the first
            are taken.

    Returns:
        ``num_pairs`` of (student level, teacher level), in the student's order.

    Raises:
        ConfigError: If there are fewer pairs than that; it prints the strides of both.
    """
    student = feature_strides(student_feats, input_size)
    teacher = feature_strides(teacher_feats, input_size)

    def nearest(stride: float, others: list[float]) -> int:
        return min(range(len(others)), key=lambda i: abs(math.log(stride / others[i])))

    pairs = []
    for level, stride in enumerate(student):
        match = nearest(stride, teacher)
        ratio = max(stride / teacher[match], teacher[match] / stride)
        if nearest(teacher[match], student) == level and ratio < SAME_STRIDE:
            pairs.append((level, match))
    if len(pairs) < num_pairs:
        found = (
            f'{len(pairs)} strides in common, but model.distillation names the channels of '
            f'{num_pairs} levels'
            if pairs
            else 'no stride in common'
        )
        raise ConfigError(
            f'model.teacher.level_pairs: student and teacher have {found} (student '
            f'{_text(student)}; teacher {_text(teacher)}, in pixels); name the channels of the '
            'levels that agree, or choose a teacher whose strides agree with the student'
        )
    return tuple(pairs[:num_pairs])


def check_level_pairs(
    level_pairs: Sequence[Sequence[int]],
    num_pairs: int,
    num_student: int,
    num_teacher: int,
) -> LevelPairs:
    """Check pairs that the config gives.

    Args:
        level_pairs: (student level, teacher level), counted from 0.
        num_pairs: How many levels ``distillation`` was given channels for.
        num_student: Levels that the student has.
        num_teacher: Levels that the teacher has.

    Raises:
        ConfigError: If a level is not there, or the number of pairs is another.
    """
    pairs = tuple((int(student), int(teacher)) for student, teacher in level_pairs)
    if len(pairs) != num_pairs:
        raise ConfigError(
            f'model.teacher.level_pairs: expected {num_pairs} pairs, as many as '
            f'model.distillation.student_channels names, found {len(pairs)}'
        )
    for student, teacher in pairs:
        if not (0 <= student < num_student and 0 <= teacher < num_teacher):
            raise ConfigError(
                f'model.teacher.level_pairs: found ({student}, {teacher}), but the student has the '
                f'levels 0 to {num_student - 1} and the teacher 0 to {num_teacher - 1}'
            )
    return pairs


def _text(strides: Sequence[float]) -> str:
    return ', '.join(f'{stride:.3g}' for stride in strides)
