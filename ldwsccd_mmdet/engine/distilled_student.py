"""A distilled student outside of training, for the tools that look at its distillation."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from ..errors import CheckpointError, ConfigError
from ..models.detectors import LDWSCCDMixin
from ..models.utils import LEAST_SHARE
from .checkpoint_file import read_checkpoint
from .find_checkpoint import find_checkpoint
from .model_weights import find_weights_of, is_student

__all__ = ['build_distilled_student', 'training_batches']


def build_distilled_student(
    config: Config, checkpoint: str | None = None
) -> tuple[LDWSCCDMixin, str]:
    """Build student and teacher of a config, on the accelerator if there is one.

    Args:
        config: The config of a distilled training.
        checkpoint: Weights of the student, of this config or of its plain detector (f, the
            1 x 1 convolutions of the distillation, then stays random); None initialises it as
            training does.

    Returns:
        The student, and in a few words which student it is.

    Raises:
        ConfigError: If the config distils nothing.
        CheckpointError: If the checkpoint lacks weights of the student.
    """
    model_cfg: Any = config.get('model') or {}
    absent = [key for key in ('teacher', 'distillation') if not model_cfg.get(key)]
    if absent:
        raise ConfigError(
            f'model.{absent[0]}: expected a dict, found None: this config distils nothing; take '
            'one that does, such as configs/ldwsccd/ssd512-narrow_ldm_cric.py, or add '
            'model.teacher=dict(config=..., checkpoint=...) and model.distillation=dict(...)'
        )
    kind = MODELS.get(model_cfg.type)
    if kind is None or not issubclass(kind, LDWSCCDMixin):
        raise ConfigError(
            f"model.type: expected a distilled student, 'LDWSCCD' or 'LDWSCCDTwoStage', found "
            f"'{model_cfg.type}'"
        )
    student = MODELS.build(model_cfg)
    which = 'student as initialised'
    if checkpoint is None:
        student.init_weights()
    else:
        with_f = _load(student, find_checkpoint(checkpoint))
        which = f'student of {checkpoint}' + ('' if with_f else ' (f as initialised)')
    return student.to(get_device()), which


def _load(student: Any, checkpoint: str) -> bool:
    """Load a student's weights, refusing a checkpoint that lacks some; tell whether it has f."""
    fit = find_weights_of(student, read_checkpoint(checkpoint), checkpoint)
    own = fit.of(is_student)
    if own.share < LEAST_SHARE:
        raise CheckpointError(
            f'--checkpoint: {checkpoint} is not of the student of this config: {own.describe()}; '
            'give one that was trained with this config, or with its student alone'
        )
    student.load_state_dict(fit.state, strict=False)
    return not fit.of(lambda name: name.startswith('distillation.')).absent


def training_batches(config: Config, number: int, seed: int) -> Iterator[dict]:
    """Give the first batches of a training, loaded in this process.

    Args:
        config: The config of a training.
        number: How many; fewer where the data set has fewer.
        seed: Seed of the order.
    """
    loader = deepcopy(config.train_dataloader)
    loader.update(num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)
    yield from islice(Runner.build_dataloader(loader, seed=seed), number)
