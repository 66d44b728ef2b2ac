"""What to know about a distillation before its first step, in one table."""

import copy
import io
import logging
from collections.abc import Sequence

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from ...errors import ConfigError
from ...models.detectors import FrozenTeacher, LDWSCCDMixin
from ...models.detectors.dead_levels import own_attention
from ...models.detectors.frozen_teacher import normalisation
from ..distillation_scale import (
    TERMS,
    DistillationScale,
    level_names,
    measure_scale,
    term_weights,
)
from .training_state import distilled_student, untouched_training

# draws of one image that tell whether the pipeline augments; a flip is missed once in 2 ** 7
NUM_DRAWS = 8
# of a level's attention: with less of its own the warning names the level
LEAST_OWN = 0.25


@HOOKS.register_module()
class DistillationGateHook(Hook):
    """Checks a distillation, and writes one table into the log before the first step.

    The table shows, of student and teacher: the share of the teacher's weights that loaded (below
    99 % the teacher itself refuses its checkpoint), classes, normalisation, the pairs of levels
    with the shapes of their maps, and, on the first batch, each term of the distillation loss a
    level, weighted, beside the detection loss.

    Other classes than the data's are a warning only: the features of a teacher do not need them.
    With ``logit_distillation`` they are an error: logits mean classes.

    A line says how much of the teacher's attention differs from image to image, level by level
    (:func:`~ldwsccd_mmdet.models.detectors.dead_levels.own_attention`); levels where it is less
    than a quarter are a warning with the setting that leaves them out. Levels that are the same for
    all images are left out without being asked (:func:`dead_levels`).

    A teacher with ``cache`` is refused if the training pipeline changes images at random.

    The first batch is run through the student once more for this, without gradients, under the
    same autocast, with random states and batch norm statistics put back: training is bit for bit
    what it is without the hook. A resumed run shows the table again, for its own first batch.

    Raises:
        ConfigError: Before training, if ``model.teacher.cache`` is given with random augmentation,
            or ``model.logit_distillation`` with a teacher of other classes.
    """

    priority = 'VERY_LOW'  # other hooks may set up the batch's iteration

    def __init__(self) -> None:
        self._shown = False
        self._hits_before = 0
        self._epochs = 0

    def before_train(self, runner: Runner) -> None:
        """Check what can be checked without a batch."""
        student = distilled_student(runner)
        self._shown = student is None
        if student is None:
            return
        teacher = _teacher(student)
        if teacher.cache is not None:
            _refuse_augmentation(student, runner)
        if teacher.same_classes(_classes(runner)) is False:
            if student.logit_distillation is not None:
                raise ConfigError(
                    'model.logit_distillation: expected a teacher of the classes of the data '
                    f'({_class_text(_classes(runner))}), in their order, found '
                    f'{_class_text(teacher.classes, teacher.num_classes)}; train the teacher on '
                    'them, or set logit_distillation=None'
                )
            print_log(
                f'The classes of the teacher ({_class_text(teacher.classes, teacher.num_classes)}) '
                f'are not those of the data ({_class_text(_classes(runner))}), in their order. Its '
                'features teach all the same; its AP is not shown.',
                logger='current',
                level=logging.WARNING,
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Show the table for the first batch of this run."""
        if self._shown or data_batch is None:
            return
        self._shown = True
        student = distilled_student(runner)
        assert student is not None
        context = runner.optim_wrapper.optim_context(runner.model)
        with untouched_training(runner.model), torch.no_grad(), context:
            scale = measure_scale(student, copy.deepcopy(data_batch))
            tables = _tables(student, runner, scale)
            shares = [
                own_attention(maps.teacher_attention)
                for maps in student.distillation.maps(**scale.inputs)
            ]
        runner.logger.info('Before iteration %d:\n%s', runner.iter + 1, tables)
        _say_attention(student, shares)

    def before_train_epoch(self, runner: Runner) -> None:
        """Note how many images the cache has given so far."""
        student = distilled_student(runner)
        cache = None if student is None else _teacher(student).cache
        self._hits_before = 0 if cache is None else cache.hits

    def after_train_epoch(self, runner: Runner) -> None:
        """Warn if the cache gave nothing in a second epoch."""
        self._epochs += 1
        student = distilled_student(runner)
        cache = None if student is None else _teacher(student).cache
        if student is None or cache is None or self._epochs != 2:
            return
        if cache.hits == self._hits_before and student.distillation_weight > 0:
            print_log(
                f'model.teacher.cache: no image of this epoch was found in {cache.folder}: images '
                'change from epoch to epoch, or cache.max_gb is too small. It only costs time and '
                'space; set model.teacher.cache=None',
                logger='current',
                level=logging.WARNING,
            )


def _teacher(student: LDWSCCDMixin) -> FrozenTeacher:
    assert student.teacher is not None
    return student.teacher


def _classes(runner: Runner) -> tuple[str, ...]:
    return tuple(runner.train_dataloader.dataset.metainfo.get('classes', ()))


def _refuse_augmentation(student: LDWSCCDMixin, runner: Runner) -> None:
    """Raise if an image of the training set differs from one time to the next."""
    dataset = runner.train_dataloader.dataset
    with untouched_training():
        first = dataset[0]['inputs']
        same = all(torch.equal(dataset[0]['inputs'], first) for _ in range(NUM_DRAWS - 1))
    if not same or getattr(student.data_preprocessor, 'batch_augments', None):
        raise ConfigError(
            'model.teacher.cache: expected training images that are the same in every epoch, but '
            'train_dataloader.dataset.pipeline (or model.data_preprocessor.batch_augments) changes '
            'them at random; remove RandomFlip, StainDistortion and the like, or set '
            'model.teacher.cache=None'
        )


def _say_attention(student: LDWSCCDMixin, shares: Sequence[float]) -> None:
    """Say how much of the teacher's attention is the image's own, and which levels have little."""
    known = [share == share for share in shares]
    if not any(known):
        return
    listed = ', '.join(
        f'{100 * share:.0f} %' if fine else '-' for share, fine in zip(shares, known, strict=True)
    )
    print_log(
        "Share of the teacher's attention that differs from image to image, level by level: "
        f'{listed}',
        logger='current',
    )
    weights = student.distillation.level_weights
    poor = [i for i, share in enumerate(shares) if share < LEAST_OWN and weights[i] > 0]
    if poor:
        left = [0 if i in poor else weight for i, weight in enumerate(weights)]
        print_log(
            f'At the pairs {poor} of levels the teacher looks at nearly the same places in all '
            'images, such as corners: they say little of cells. To leave them out: --cfg-options '
            f'"model.distillation.level_weights={left}"',
            logger='current',
            level=logging.WARNING,
        )


def _tables(student: LDWSCCDMixin, runner: Runner, scale: DistillationScale) -> str:
    """The tables of teacher and levels, for a batch as the data loader gives it."""
    checks = _teacher_table(student, _teacher(student), _classes(runner))
    text = io.StringIO()
    console = Console(emoji=False, file=text, width=140)
    console.print(checks)
    console.print(_level_table(student, scale))
    return text.getvalue()


def _teacher_table(
    student: LDWSCCDMixin, teacher: FrozenTeacher, classes: tuple[str, ...]
) -> Table:
    table = Table(title='Distillation: student and teacher', box=box.ASCII2, show_lines=False)
    for column in ('', 'student', 'teacher'):
        table.add_column(column, overflow='fold')
    loaded, needed = teacher.loaded_weights
    table.add_row('detector', type(student).__name__, type(teacher.model).__name__)
    table.add_row(
        'weights loaded',
        '',
        f'{loaded} of {needed} of backbone and neck ({100 * loaded / max(needed, 1):.1f} %)',
    )
    table.add_row(
        'classes',
        escape(_class_text(classes)),
        escape(_class_text(teacher.classes, teacher.num_classes)),
    )
    mean_s, std_s, order_s = normalisation(student.data_preprocessor)
    mean_t, std_t, order_t = normalisation(teacher.model.data_preprocessor)
    table.add_row('channels', order_s, order_t)
    table.add_row('mean', _numbers(mean_s), _numbers(mean_t))
    table.add_row('std', _numbers(std_s), _numbers(std_t))
    return table


def _level_table(student: LDWSCCDMixin, scale: DistillationScale) -> Table:
    detection = scale.detection
    losses = scale.levels * term_weights(student.distillation, scale).to(scale.levels)
    table = Table(
        title=f'Weighted losses of the first batch (detection loss {detection:.4g})', box=box.ASCII2
    )
    columns = (
        'student',
        'map C x H x W',
        'teacher',
        'map C x H x W',
        *TERMS,
        'sum',
        'of detection',
    )
    for column in columns:
        table.add_column(column, justify='right')
    for names, row in zip(level_names(student, scale.inputs), losses.tolist(), strict=True):
        table.add_row(*names, *_loss_cells(row, detection))
    table.add_section()
    table.add_row('all', '', '', '', *_loss_cells(losses.sum(dim=0).tolist(), detection))
    return table


def _loss_cells(terms: Sequence[float], detection: float) -> list[str]:
    total = sum(terms)
    share = f'{100 * total / detection:.1f} %' if detection > 0 else '-'
    return [f'{value:.4g}' for value in (*terms, total)] + [share]


def _class_text(classes: Sequence[str] | None, number: int | None = None) -> str:
    if not classes:
        return 'unknown' if number is None else f'{number}, names unknown'
    return f'{len(classes)}: {", ".join(classes)}'


def _numbers(values: Tensor) -> str:
    return ', '.join(f'{value:.4g}' for value in values.flatten().tolist())
