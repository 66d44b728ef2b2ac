"""How large the terms of a distillation are beside the detection loss."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError
from ..models.detectors import LDWSCCDMixin

TERMS = ('foreground', 'background', 'attention')
WEIGHTS = ('alpha', 'beta', 'gamma')


class DistillationScale(NamedTuple):
    """Losses of one batch, without gradient.

    Attributes:
        detection: The student's own loss: all terms of its head, without distillation and MIL.
        levels: Foreground, background and attention loss of each pair of levels, (L, 3), before
            alpha, beta, gamma and ``level_weights``.
        inputs: What the distillation loss was given, see ``LDWSCCDMixin.distillation_inputs``.
    """

    detection: float
    levels: Tensor
    inputs: dict[str, Any]


@torch.no_grad()
def measure_scale(student: LDWSCCDMixin, data_batch: dict) -> DistillationScale:
    """Run one batch through student and teacher, in the student's present mode.

    Args:
        student: A detector with teacher and distillation.
        data_batch: A batch of training as its data loader gives it.
    """
    data: dict[str, Any] = student.data_preprocessor(data_batch, training=True)
    feats = student.extract_feat(data['inputs'])
    detection = _total(student.student_loss(feats, data['data_samples']))
    inputs = student.distillation_inputs(feats, data['inputs'], data['data_samples'])
    return DistillationScale(detection, student.distillation.level_losses(**inputs), inputs)


def measure_scales(
    student: LDWSCCDMixin, batches: Iterable[dict]
) -> tuple[list[DistillationScale], list[tuple[str, str, str, str]]]:
    """Measure several batches, see :func:`measure_scale`; what went in is not kept.

    Returns:
        The batches, and the levels as of :func:`level_names`.

    Raises:
        ConfigError: There is no batch, or none has a detection loss.
    """
    scales: list[DistillationScale] = []
    names: list[tuple[str, str, str, str]] = []
    for batch in batches:
        scale = measure_scale(student, batch)
        names = level_names(student, scale.inputs)
        scales.append(scale._replace(inputs={}))  # the maps are large
    losses = [scale.detection for scale in scales]
    if not losses or not sum(losses) > 0:
        raise ConfigError(
            f'train_dataloader: expected batches with a detection loss, found {len(losses)} '
            f'batches with {losses}; is the data set empty?'
        )
    return scales, names


def term_weights(distillation: Any, scale: DistillationScale | None = None) -> Tensor:
    """Factor (L, 3) of each level's terms: alpha, beta, gamma times ``level_weights``.

    Args:
        distillation: The loss.
        scale: A batch, of whose detection loss ``share`` is taken; None for the running means.
    """
    levels = torch.tensor(distillation.level_weights)[:, None]
    if scale is None:
        return levels * distillation.term_weights().cpu()
    terms = (levels * scale.levels.cpu()).sum(dim=0)
    return levels * distillation.term_weights(scale.detection, terms).cpu()


def weights_for_shares(
    scales: Sequence[DistillationScale], level_weights: Sequence[float], shares: Sequence[float]
) -> list[float]:
    r"""Alpha, beta and gamma with which each term is a share of the detection loss.

    .. math::
        \alpha = p_{fg} \frac{\sum_b L_{det, b}}{\sum_b \sum_l w_l L_{fg, b, l}},
        \qquad \beta, \gamma \text{ alike}

    Args:
        scales: Batches b.
        level_weights: :math:`w_l`, as in ``LocalDistillationLoss``.
        shares: :math:`p \ge 0` of foreground, background and attention term; 0.1 is a tenth.

    Raises:
        ConfigError: If a term that shall have a share is 0 in all batches.
    """
    detection = sum(scale.detection for scale in scales)
    levels = torch.stack([scale.levels.double().cpu() for scale in scales]).sum(dim=0)
    totals = (levels * torch.tensor(level_weights).double()[:, None]).sum(dim=0).tolist()
    for term, weight, total, share in zip(TERMS, WEIGHTS, totals, shares, strict=True):
        if share > 0 and not total > 0:
            raise ConfigError(
                f'model.distillation.{weight}: the {term} term is {total:g} in all batches, so no '
                f'weight gives it {100 * share:g} % of the detection loss; take more batches with '
                f'boxes (--batches), give it no share ({weight} = 0), or look at '
                'model.distillation.level_weights'
            )
    return [
        share * detection / total if share > 0 else 0.0
        for total, share in zip(totals, shares, strict=True)
    ]


def level_names(student: LDWSCCDMixin, inputs: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Level and map (C x H x W) of the student, level and map of the teacher, of each pair."""
    feats = zip(inputs['student_feats'], inputs['teacher_feats'], strict=True)
    return [
        (str(level_s), _shape(map_s), str(level_t), _shape(map_t))
        for (level_s, level_t), (map_s, map_t) in zip(student.level_pairs or (), feats, strict=True)
    ]


def _shape(feat: Tensor) -> str:
    return ' x '.join(map(str, feat.shape[1:]))


def _total(losses: dict[str, Any]) -> float:
    """Sum of all losses, as ``parse_losses`` adds them."""
    values = [value for name, value in losses.items() if 'loss' in name]
    return sum(
        float(part.mean())
        for value in values
        for part in (value if isinstance(value, (list, tuple)) else [value])
    )
