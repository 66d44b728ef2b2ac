"""What becomes of a checkpoint's weights in a model: found, said, and refused where they don't fit.

Training (``load_from``), resuming, test, prediction and export all take them from here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from mmengine.logging import print_log
from torch import nn

from ..errors import CheckpointError
from ..models.utils import LEAST_SHARE, WeightsFit, fit_weights
from .checkpoint_file import read_checkpoint

__all__ = [
    'demand_mil_head',
    'demand_weights',
    'find_weights_of',
    'is_student',
    'load_weights',
    'say_what_fits',
]

#: Parts that only training has; the student is what is left.
_BESIDE_STUDENT = ('mil_head.', 'distillation.', 'teacher.')
#: A checkpoint without these loads too: see :class:`ScoreJoin`.
_SCORE_JOIN = 'mil_head.score_join.'


def is_student(name: str) -> bool:
    """Tell whether a weight of a model is one of the student's."""
    return not name.startswith(_BESIDE_STUDENT)


def find_weights_of(model: nn.Module, checkpoint: Mapping[str, Any], source: str) -> WeightsFit:
    """Find a model's weights in a checkpoint; a prefix before their names is said.

    Args:
        model: The model.
        checkpoint: Content of the checkpoint, with ``state_dict``.
        source: The file, for messages.

    Raises:
        CheckpointError: Some of the weights are NaN or infinite.
    """
    fit = fit_weights(model, checkpoint['state_dict'])
    if fit.not_finite:
        raise CheckpointError(
            f"checkpoint '{source}' has weights that are not finite: {len(fit.not_finite)} of "
            f'{len(fit.wanted)}, first {fit.not_finite[0]}; its training went wrong: take an '
            'earlier checkpoint, and train on with a lower rate or with optim_wrapper.clip_grad'
        )
    if fit.prefix and fit.state:
        beside = f' (those of {", ".join(fit.others)} are not used)' if fit.others else ''
        print_log(
            f"'{source}': its weights are those whose names begin with '{fit.prefix}'{beside}",
            logger='current',
        )
    return fit


def load_weights(model: Any, source: str, mil_head: bool = False) -> WeightsFit:
    """Load a checkpoint into a model that is only looked at, not trained.

    Args:
        model: The model.
        source: The checkpoint: a file, or an address.
        mil_head: Whether the MIL head is looked at too.

    Returns:
        How the checkpoint fits the model.

    Raises:
        CheckpointError: It can't be read, or has less than 99 % of the weights that are needed, or
            one of another shape.
    """
    fit = find_weights_of(model, read_checkpoint(source), source)
    demand_weights(fit.of(lambda name: is_student(name) or (mil_head and _is_mil(name))), source)
    model.load_state_dict(fit.state, strict=False)
    return fit


def _is_mil(name: str) -> bool:
    return name.startswith('mil_head.') and not name.startswith(_SCORE_JOIN)


def demand_weights(fit: WeightsFit, source: str) -> None:
    """Refuse a checkpoint with less than 99 % of a model's weights; say what else is missing.

    One weight of another shape is enough: of a large detector the layer that tells the classes is
    less than 1 % of the weights, and nothing works without it.

    Args:
        fit: How it fits.
        source: The file, for messages.

    Raises:
        CheckpointError: The model would run with weights as initialised.
    """
    if not fit.absent:
        return
    if fit.share < LEAST_SHARE or fit.misshapen:
        raise CheckpointError(
            f"checkpoint '{source}' is not of this model: {fit.describe()}; give the config that "
            'it was trained with'
        )
    print_log(
        f"'{source}' lacks weights, which stay as they are initialised: {fit.describe()}",
        logger='current',
        level=logging.WARNING,
    )


def demand_mil_head(model: Any, fit: WeightsFit, source: str) -> None:
    """Refuse scores of a MIL head whose weights the checkpoint has not.

    Args:
        model: The detector.
        fit: How the checkpoint fits it.
        source: The file, for messages.

    Raises:
        CheckpointError: ``test_cfg.score_source`` takes the MIL head's scores.
    """
    if getattr(model, 'mil_head', None) is None or getattr(model, 'score_source', 'ssd') == 'ssd':
        return
    mil = fit.of(_is_mil)
    if mil.absent:
        raise CheckpointError(
            f"checkpoint '{source}' has not the MIL head of this model: {mil.describe()}; "
            f"model.test_cfg.score_source='{model.score_source}' takes its scores: give a "
            "checkpoint with it, or set model.test_cfg.score_source='ssd'"
        )


def say_what_fits(fit: WeightsFit, source: str) -> None:
    """Say which parts of a model a training begins with, and which as initialised."""
    if not fit.absent:
        print_log(f"'{source}' gives all {len(fit.wanted)} weights", logger='current')
        return
    student = fit.of(is_student)
    poor = student.share < LEAST_SHARE
    hint = (
        "; if it holds a backbone alone, name it in model.backbone.init_cfg=dict(type='Pretrained',"
        " checkpoint='...') instead of load_from"
    )
    text = (
        f"load_from '{source}' gives {100 * student.share:.0f} % of the student's weights: "
        f'{fit.describe()}; those begin as initialised{hint if student.share < 0.5 else ""}'
    )
    misshapen = ''.join(f'\nsize mismatch for {name}: as initialised' for name in fit.misshapen)
    print_log(
        f'{text}\n{_table(fit)}{misshapen}',
        logger='current',
        level=logging.WARNING if poor else logging.INFO,
    )


def _table(fit: WeightsFit) -> str:
    """One row a part of the model."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column('part')
    for column in ('weights', 'loaded', 'missing', 'other shape'):
        table.add_column(column, justify='right')
    for part in dict.fromkeys(name.split('.')[0] for name in fit.wanted):
        of_part = fit.of(partial(_is_of, part))
        total, absent = len(of_part.wanted), len(of_part.absent)
        numbers = (total, total - absent, len(of_part.missing), len(of_part.misshapen))
        table.add_row(Text(part), *map(str, numbers))
    console = Console(emoji=False, width=80, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return f'{capture.get()}Weights of the checkpoint that the model has not: {fit.unused}'


def _is_of(part: str, name: str) -> bool:
    return name.split('.')[0] == part
