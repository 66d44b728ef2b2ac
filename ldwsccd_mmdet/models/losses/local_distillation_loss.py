"""Local distillation: a frozen teacher shows the student where, and in which channels, to look."""

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.utils import OptMultiConfig
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import ConfigError, check_argument
from ..utils import float_dtype, no_autocast
from ..utils.renamed_arguments import refuse_old_arguments
from .foreground_mask import fgd_scale_masks, foreground_mask
from .level_distillation import LevelDistillation, compare

LARGEST_ROUNDING = 0.02
"""Of the exponent of eq. 10, from which on a warning says that half precision is too coarse."""

SAME_STRIDE = math.sqrt(2)
"""Maps whose sizes differ by half an octave or more are not of the same level."""

MEMORY = 0.98
"""Decay of the running means with ``share``."""

WEIGHTS = dict(alpha=0.2, beta=0.1, gamma=0.1)
"""Of eq. 14, unless others or ``share`` are given."""
SHARE_SPLIT = (0.6, 0.35, 0.05)
"""Parts of foreground, background and attention term in ``share``."""
CHOICES = dict(
    normalize=('region', 'sum', 'fgd'),
    feature_norm=(None, 'standardize'),
)
#: Arguments of earlier versions, and what to write in their place.
INSTEAD = dict(
    preset='take distillation_paper or distillation_fgd of configs/_base_/parts/distillation.py',
    attention_reduction="leave it out, it is 'sum' with normalize='fgd', else 'mean'",
    empty_image='leave it out, an image without boxes is all background',
    split='leave it out, it is 0.6, 0.35 and 0.05 with share',
    resize='leave it out, and pair levels of one stride (model.teacher.level_pairs)',
)


class DistillationMaps(NamedTuple):
    r"""What the loss sees at one level, without gradient; each (N, H, W).

    Attributes:
        mask: 1 where the cell counts as foreground, else 0.
        teacher_attention: :math:`A^S` of the teacher, eq. 10, mean 1.
        student_attention: :math:`A^S` of the student after :math:`f`.
        error: :math:`A^S_{i j} \sum_c A^C_c d_{c i j}^2 / C`: the mean of a region's cells is
            eq. 12 with ``normalize='region'``.
    """

    mask: Tensor
    teacher_attention: Tensor
    student_attention: Tensor
    error: Tensor


@MODELS.register_module()
class LocalDistillationLoss(BaseModule):
    r"""Local distillation loss of LD-WSCCD, eq. 9-14.

    At every level, with the teacher's map :math:`F^T`, the student's :math:`f(F^S)`, the foreground
    mask :math:`M` (eq. 9) and the teacher's attention :math:`A^S, A^C` (eq. 10, 11):

    .. math::
        d &= F^T - f(F^S) \\
        L_{fg} &= \frac{\sum_{c i j} M_{i j} A^S_{i j} A^C_c d_{c i j}^2}{C \max(\sum M, 1)}
        \qquad \text{(eq. 12)} \\
        L_{bg} &= \text{the same with } 1 - M \qquad \text{(eq. 12)} \\
        L_{att} &= \mathrm{mean} |A^S_T - A^S_S| + \mathrm{mean} |A^C_T - A^C_S|
        \qquad \text{(eq. 13)} \\
        L_{dis} &= \alpha L_{fg} + \beta L_{bg} + \gamma L_{att} \qquad \text{(eq. 14)}

    Each term is summed over levels and averaged over images. :math:`F^T` and the teacher's
    attention are constants; the student's attention is taken after :math:`f`, with gradient.
    :math:`f` is a 1 x 1 convolution where the channel numbers differ, else the identity. A map of
    the teacher that rounding made larger or smaller than the student's (38 and 37 cells of 300 px)
    is brought to its size, bilinear, corners not aligned. :math:`f` and all that follows is float32
    whatever the autocast: eq. 10 makes of 0.2 % of a large feature several per cent of attention.
    :class:`LevelDistillation` computes a level and its gradient.

    Mended against the print, which has no denominator in eq. 12 and names neither T nor the
    weights: ``normalize='region'`` divides each region by its size, so that the loss does not grow
    with the map. ``normalize='sum'`` is the paper to the letter (1e5 and more at 512 x 64 x 64).
    ``normalize='fgd'`` is FGD's focal and attention loss (Yang et al., CVPR 2022):
    :func:`fgd_scale_masks` stand for :math:`M / (C \sum M)`, and all three terms, eq. 13 too, are
    sums divided by the batch size. FGD's global loss is not part of it.

    Args:
        student_channels: Channels of the student's maps, one a level.
        teacher_channels: Channels of the teacher's maps, one a level.
        alpha: Weight of the foreground term, >= 0. Default: 0.2.
        beta: Weight of the background term, >= 0. Default: 0.1.
        gamma: Weight of the attention term, >= 0. Default: 0.1. The paper prints no weights: these
            were chosen on CRIC.
        temperature: :math:`T` of eq. 10 and 11, > 0: one number, or one a level. The paper does not
            print it; 0.5 is FGD's.
        normalize: 'region', 'sum' or 'fgd'.
        feature_norm: 'standardize' brings every channel of both maps to mean 0 and variance 1 over
            H x W of its image before anything else, as PKD (Cao et al., NeurIPS 2022) does. With
            raw ReLU maps the softmax of eq. 10 and 11 saturates, and a student whose scale differs
            from its teacher's is mostly taught the scale. Half precision then is as good as
            float32. ``None`` takes the maps as they are: at values of 1e3, what bfloat16 rounds
            off changes eq. 10 too much, and a warning in the log says so.
        level_weights: Weight of each level's three terms, >= 0, one a level. Default: 1 each.
        share: In place of alpha, beta and gamma: the three terms together are this share of the
            detection loss, > 0; 0.3 is 30 %. Each term's weight follows from running means of both,

            .. math::
                \alpha = \mathrm{share} \cdot p_{fg} \frac{\overline{L_{det}}}
                {\overline{L_{fg}}}, \qquad \beta, \gamma \text{ alike}

            with decay 0.98, which lie in the checkpoint and are averaged over processes. The
            foreground has :math:`p_{fg}` = 0.6 of it, the background 0.35, the attention 0.05.
        init_cfg: Initialisation of :math:`f`.
        **old: Arguments of earlier versions, which an error explains.

    Raises:
        ConfigError: If an argument is outside its range or does not have one value a level.

    Example:
        A level of two channels whose maps differ by 1 everywhere; the box covers its left half.

        >>> loss = LocalDistillationLoss((2,), (2,), feature_norm=None)
        >>> student, teacher = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
        >>> bboxes = [torch.tensor([[0.0, 0.0, 15.0, 31.0]])]
        >>> losses = loss((student,), (teacher,), bboxes, input_size=(32, 32))
        >>> for name, value in losses.items():  # alpha, beta, and no difference in attention
        ...     print(name, value)
        loss_distill_fg tensor(0.2000)
        loss_distill_bg tensor(0.1000)
        loss_distill_attention tensor(0.)
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        temperature: float | Sequence[float] = 0.5,
        normalize: str = 'region',
        feature_norm: str | None = 'standardize',
        level_weights: Sequence[float] | None = None,
        share: float | None = None,
        init_cfg: OptMultiConfig = None,
        **old: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        refuse_old_arguments('distillation', old, INSTEAD)
        levels = len(student_channels)
        check_argument(
            levels == len(teacher_channels) and levels > 0,
            'distillation.student_channels and teacher_channels',
            'the same levels, at least one',
            (list(student_channels), list(teacher_channels)),
        )
        self.alpha: float = WEIGHTS['alpha'] if alpha is None else alpha
        self.beta: float = WEIGHTS['beta'] if beta is None else beta
        self.gamma: float = WEIGHTS['gamma'] if gamma is None else gamma
        self.normalize = normalize
        self.feature_norm = feature_norm
        self.temperature = _one_a_level('temperature', temperature, levels)
        self.level_weights = _one_a_level(
            'level_weights', 1.0 if level_weights is None else level_weights, levels
        )
        self._check_arguments()
        self._looked_at_rounding = False
        self.share = share
        if share is not None:
            self._check_share((alpha, beta, gamma))
            #: Running means of detection, foreground, background and attention loss; 0: none yet.
            self.register_buffer('running_means', torch.zeros(4))
        self.student_channels = tuple(student_channels)
        self.teacher_channels = tuple(teacher_channels)
        self.align = nn.ModuleList(
            nn.Identity() if student == teacher else nn.Conv2d(student, teacher, kernel_size=1)
            for student, teacher in zip(student_channels, teacher_channels, strict=True)
        )

    def leave_out(self, levels: Sequence[int]) -> None:
        """Give levels the weight 0: places in ``student_channels``."""
        self.level_weights = tuple(
            0.0 if level in levels else weight for level, weight in enumerate(self.level_weights)
        )

    def _check_arguments(self) -> None:
        for name in ('alpha', 'beta', 'gamma'):
            value = getattr(self, name)
            check_argument(value >= 0, f'distillation.{name}', '>= 0', value)
        warm = min(self.temperature) > 0
        check_argument(warm, 'distillation.temperature', '> 0', self.temperature)
        fine = min(self.level_weights) >= 0
        check_argument(fine, 'distillation.level_weights', '>= 0', self.level_weights)
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            expected = ', '.join(map(repr, choices[:-1])) + f' or {choices[-1]!r}'
            check_argument(value in choices, f'distillation.{name}', expected, value)

    def _check_share(self, weights: Sequence[float | None]) -> None:
        set_weights = [weight for weight in weights if weight is not None]
        check_argument(
            not set_weights,
            'distillation.share',
            'no alpha, beta or gamma beside it, since it takes their place',
            set_weights,
            'set them to None, or share=None',
        )
        check_argument(
            self.share is not None and self.share > 0, 'distillation.share', '> 0', self.share
        )

    def term_weights(self, detection: float | None = None, terms: Tensor | None = None) -> Tensor:
        """Weights of foreground, background and attention term, (3,).

        Args:
            detection: With ``share``: the detection loss to take a share of; None for its running
                mean.
            terms: The three terms beside it, (3,); None for their running means.
        """
        if self.share is None:
            return torch.tensor([self.alpha, self.beta, self.gamma])
        means: Tensor = self.running_means
        base = means[0] if detection is None else means.new_tensor(detection)
        terms = means[1:] if terms is None else terms.to(means)
        split = means.new_tensor(SHARE_SPLIT)
        return torch.where(terms > 0, self.share * split * base / terms.clamp(min=1e-12), 0)

    @torch.no_grad()
    def _update_means(self, detection_loss: Tensor, terms: Tensor) -> None:
        """Take a batch's losses into the running means; the first batch is their start."""
        means: Tensor = self.running_means
        now = torch.cat([detection_loss.detach().reshape(1).to(means), terms.detach().to(means)])
        all_reduce(now, 'mean')
        if now.isfinite().all():
            keep = torch.where(means > 0, MEMORY, 0.0)
            means.copy_(keep * means + (1 - keep) * now)

    def forward(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
        input_size: tuple[int, int],
        detection_loss: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Compute the three terms of eq. 14, weighted.

        Args:
            student_feats: One map (N, C_student, H, W) a level, in the order of
                ``student_channels``.
            teacher_feats: One map (N, C_teacher, H, W) a level, of the student's H and W, but for
                rounding.
            bboxes: Per image (n_i, 4), x1, y1, x2, y2 in pixels of the padded batch tensor.
            input_size: (H_in, W_in) of the padded batch tensor, in pixels.
            detection_loss: The student's own loss of this batch; ``share`` needs it in training.

        Returns:
            ``loss_distill_fg``, ``loss_distill_bg`` and ``loss_distill_attention``, scalars in
            float32 (float64 for float64 maps).

        Raises:
            ConfigError: If the number of levels, the channels, the sizes or the batch differ from
                what was declared or from each other.
        """
        losses = self.level_losses(student_feats, teacher_feats, bboxes, input_size)
        weights = losses.new_tensor(self.level_weights)
        terms = (weights[:, None] * losses).sum(dim=0)
        if self.share is not None and detection_loss is not None and self.training:
            self._update_means(detection_loss, terms)
        foreground, background, attention = self.term_weights().to(terms) * terms
        return dict(
            loss_distill_fg=foreground,
            loss_distill_bg=background,
            loss_distill_attention=attention,
        )

    def level_losses(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
        input_size: tuple[int, int],
    ) -> Tensor:
        """Compute each level's terms, before alpha, beta, gamma and ``level_weights``.

        Args:
            student_feats: As :meth:`forward`.
            teacher_feats: As :meth:`forward`.
            bboxes: As :meth:`forward`.
            input_size: As :meth:`forward`.

        Returns:
            (L, 3): foreground, background and attention loss of each level, differentiable.

        Raises:
            ConfigError: As :meth:`forward`.
        """
        self._check_feats(student_feats, teacher_feats, bboxes)
        if self.feature_norm is None and not self._looked_at_rounding:
            self._looked_at_rounding = True
            self._look_at_rounding([*student_feats, *teacher_feats])
        images = _image_weights(bboxes)
        losses = []
        for level in range(len(self.student_channels)):
            student, teacher = self._aligned(level, student_feats[level], teacher_feats[level])
            num_images, channels, height, width = student.shape
            mean = self.normalize != 'fgd'
            with no_autocast(student):
                losses.append(
                    LevelDistillation.apply(
                        student,
                        teacher,
                        self._cell_weights(bboxes, student, input_size),
                        images.to(student.device, float_dtype(student)),
                        (1 / (height * width), 1 / channels) if mean else (1.0, 1.0),
                        self.temperature[level],
                        self.feature_norm == 'standardize',
                    )
                )
        return torch.stack(losses)

    @torch.no_grad()
    def maps(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
        input_size: tuple[int, int],
    ) -> list[DistillationMaps]:
        """Masks, attentions and errors to look at, in place of the loss.

        Args:
            student_feats: As :meth:`forward`.
            teacher_feats: As :meth:`forward`.
            bboxes: As :meth:`forward`.
            input_size: As :meth:`forward`.

        Returns:
            One :class:`DistillationMaps` a level, of the size at which the maps are compared.

        Raises:
            ConfigError: As :meth:`forward`.
        """
        self._check_feats(student_feats, teacher_feats, bboxes)
        out = []
        for level, temperature in enumerate(self.temperature):
            student, teacher = self._aligned(level, student_feats[level], teacher_feats[level])
            shape = (len(student), *student.shape[2:])
            with no_autocast(student):
                mask = self._cell_weights(bboxes, student, input_size)[0] > 0
                seen = compare(student, teacher, temperature, self.feature_norm == 'standardize')
            out.append(
                DistillationMaps(
                    mask=mask.to(seen.error),
                    teacher_attention=seen.spatial_t.view(shape),
                    student_attention=seen.spatial_s.view(shape),
                    error=(seen.error / student.shape[1]).view(shape),
                )
            )
        return out

    def _look_at_rounding(self, feats: Sequence[Tensor]) -> None:
        """Say in the log if half precision has rounded raw maps too much for eq. 10."""
        worst = max(
            _rounding_of_exponent(feat, temperature)
            for feat, temperature in zip(feats, self.temperature * 2, strict=True)
        )
        if worst > LARGEST_ROUNDING:
            print_log(
                'distillation.feature_norm: expected maps whose attention (eq. 10) half precision '
                f'leaves as it is, found raw maps whose rounding moves its exponent by {worst:.2g}'
                "; set feature_norm='standardize', or train without --amp",
                logger='current',
                level=logging.WARNING,
            )

    def _aligned(self, level: int, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Student after f, and teacher in its size; the teacher without gradient."""
        align, teacher = self.align[level], teacher.detach()
        with no_autocast(student):
            if isinstance(align, nn.Conv2d):
                student = align(student.to(align.weight.dtype))
            if student.shape[2:] != teacher.shape[2:]:  # networks round strides up, or down
                size = (student.shape[2], student.shape[3])
                teacher = F.interpolate(
                    teacher.to(float_dtype(teacher)), size, mode='bilinear', align_corners=False
                )
        return student, teacher

    def _cell_weights(
        self, bboxes: Sequence[Tensor], feat: Tensor, input_size: tuple[int, int]
    ) -> Tensor:
        """Weight of every cell in the foreground and the background sum of eq. 12, (2, N, H, W)."""
        num_images, channels, height, width = feat.shape
        boxes = [box.to(feat.device, float_dtype(feat)) for box in bboxes]
        if self.normalize == 'fgd':
            weights = torch.stack(fgd_scale_masks(boxes, (height, width), input_size))
        else:
            mask = foreground_mask(boxes, (height, width), input_size)
            weights = torch.stack([mask, 1 - mask])
            if self.normalize == 'region':
                cells = weights.sum(dim=(2, 3), keepdim=True)
                weights = weights / (channels * cells.clamp(min=1))
        return weights * _image_weights(bboxes).to(weights)[:, None, None]

    def _check_feats(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
    ) -> None:
        levels = len(self.student_channels)
        if len(student_feats) != levels or len(teacher_feats) != levels:
            raise ConfigError(
                f'LocalDistillationLoss: {levels} levels were declared by student_channels, got '
                f'{len(student_feats)} maps of the student and {len(teacher_feats)} of the teacher'
            )
        for level, (student, teacher) in enumerate(zip(student_feats, teacher_feats, strict=True)):
            for name, feat, channels in (
                ('student', student, self.student_channels[level]),
                ('teacher', teacher, self.teacher_channels[level]),
            ):
                if feat.shape[1] != channels:
                    raise ConfigError(
                        f'LocalDistillationLoss: {name}_channels[{level}] is {channels}, but the '
                        f'{name} gives {feat.shape[1]} channels there; set {name}_channels to the '
                        f'channels that the {name} really has'
                    )
            if not _same_level(student, teacher):
                raise ConfigError(
                    f'LocalDistillationLoss: at level {level} the student has '
                    f'{tuple(student.shape[2:])} cells (H, W) and the teacher '
                    f'{tuple(teacher.shape[2:])}; pair levels of equal stride with '
                    'model.teacher.level_pairs, or choose a teacher, or its start_level / strides, '
                    'so that the sizes agree'
                )
            if not len(student) == len(teacher) == len(bboxes):
                raise ConfigError(
                    f'LocalDistillationLoss: got {len(student)} images of the student, '
                    f'{len(teacher)} of the teacher and boxes of {len(bboxes)} at level {level}'
                )


def _same_level(student: Tensor, teacher: Tensor) -> bool:
    """Whether two maps differ in size by rounding alone, if at all."""
    pairs = zip(student.shape[2:], teacher.shape[2:], strict=True)
    return all(max(a, b) < SAME_STRIDE * min(a, b) for a, b in pairs)


@torch.no_grad()
def _rounding_of_exponent(feat: Tensor, temperature: float) -> float:
    """How far the rounding of a map moves the exponent of eq. 10: its standard deviation, about.

    A value rounded to a type of resolution eps is off by up to eps / 2 of itself, evenly spread;
    the mean over C channels is off by 1 / sqrt(C) of that.
    """
    if feat.dtype not in (torch.float16, torch.bfloat16):
        return 0.0
    size = feat.float().square().mean().sqrt().item()
    eps = torch.finfo(feat.dtype).eps
    return eps * size / (temperature * math.sqrt(12 * feat.shape[1]))


def _image_weights(bboxes: Sequence[Tensor]) -> Tensor:
    """Weight (N,) of every image, 1 / N."""
    return torch.full((len(bboxes),), 1 / len(bboxes), dtype=torch.float64)


def _one_a_level(name: str, value: float | Sequence[float], levels: int) -> tuple[float, ...]:
    if isinstance(value, (int, float)):
        return (float(value),) * levels
    check_argument(
        len(value) == levels,
        f'distillation.{name}',
        f'one number, or one for each of the {levels} levels of student_channels',
        list(value),
    )
    return tuple(float(number) for number in value)
