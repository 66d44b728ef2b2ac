"""Distillation of whole maps: what local distillation adds its mask and its attention to."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmdet.utils import OptMultiConfig
from torch import Tensor

from ..utils import float_dtype, no_autocast
from .foreground_mask import foreground_mask
from .level_distillation import EPS
from .local_distillation_loss import LocalDistillationLoss


@MODELS.register_module()
class FeatureImitationLoss(LocalDistillationLoss):
    r"""Feature distillation without mask and attention, eq. 8.

    .. math::
        L_{fea} = \frac{1}{C H W} \sum_{c i j} \big(F^T_{c i j} - f(F^S)_{c i j}\big)^2

    Summed over levels and averaged over images, in float32 whatever the autocast. The log has it in
    two parts whose sum it is, for the cells of the mask of eq. 9 and for the others: what the mask
    weighs anew in eq. 12 is seen there. Their third companion, eq. 13, is 0.

    Mended against the print, which does not say over what it averages, and compares raw maps;
    ``feature_norm=None`` does that here.

    Args:
        student_channels: Channels of the student's maps, one a level.
        teacher_channels: Channels of the teacher's maps, one a level.
        loss_weight: Weight of the loss, >= 0; 1 unless ``share`` is given.
        feature_norm: As in :class:`LocalDistillationLoss`.
        level_weights: As in :class:`LocalDistillationLoss`.
        share: In place of ``loss_weight``: the loss is this share of the detection loss, > 0.
        init_cfg: Initialisation of :math:`f`.

    Raises:
        ConfigError: If an argument is outside its range or does not have one value a level.

    Example:
        Two channels, of which one differs by 2 in a quarter of the map: 4 / (2 * 4) on average.

        >>> loss = FeatureImitationLoss((2,), (2,), feature_norm=None)
        >>> student, teacher = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
        >>> teacher[0, 0, :2, :2] = 2
        >>> bboxes = [torch.tensor([[0.0, 0.0, 15.0, 31.0]])]
        >>> losses = loss((student,), (teacher,), bboxes, input_size=(32, 32))
        >>> losses['loss_distill_fg'], losses['loss_distill_bg']
        (tensor(0.5000), tensor(0.))
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        loss_weight: float | None = None,
        feature_norm: str | None = 'standardize',
        level_weights: Sequence[float] | None = None,
        share: float | None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if loss_weight is None and share is None:
            loss_weight = 1.0
        super().__init__(
            student_channels,
            teacher_channels,
            alpha=loss_weight,
            beta=loss_weight,
            gamma=loss_weight,
            feature_norm=feature_norm,
            level_weights=level_weights,
            share=share,
            init_cfg=init_cfg,
        )

    def term_weights(self, detection: float | None = None, terms: Tensor | None = None) -> Tensor:
        """Weights of both parts, the same, and of eq. 13, which is 0 here; (3,)."""
        if self.share is None:
            return super().term_weights(detection, terms)
        means: Tensor = self.running_means
        base = means[0] if detection is None else means.new_tensor(detection)
        total = (means[1:] if terms is None else terms.to(means)).sum()
        weight = torch.where(total > 0, self.share * base / total.clamp(min=1e-12), 0)
        return weight.expand(3)

    def level_losses(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
        input_size: tuple[int, int],
    ) -> Tensor:
        """Compute each level's two parts of eq. 8, before any weight; arguments as ``forward``.

        Returns:
            (L, 3): the part in the mask, the part outside, and 0; differentiable.

        Raises:
            ConfigError: As :meth:`forward`.
        """
        self._check_feats(student_feats, teacher_feats, bboxes)
        losses = []
        for level in range(len(self.student_channels)):
            student, teacher = self._aligned(level, student_feats[level], teacher_feats[level])
            dtype = float_dtype(student)
            with no_autocast(student):
                student, teacher = student.to(dtype), teacher.to(dtype)
                if self.feature_norm == 'standardize':
                    student, teacher = _standardize(student), _standardize(teacher)
                error = (teacher - student).square().mean(dim=1)
                boxes = [box.to(student.device, dtype) for box in bboxes]
                mask = foreground_mask(boxes, (error.shape[1], error.shape[2]), input_size)
                inside, whole = (error * mask).mean(), error.mean()
                losses.append(torch.stack([inside, whole - inside, whole * 0]))
        return torch.stack(losses)


def _standardize(feat: Tensor) -> Tensor:
    """Every channel of an image at mean 0 and variance 1; a constant one is 0."""
    variance, mean = torch.var_mean(feat, dim=(2, 3), correction=0, keepdim=True)
    return (feat - mean) * (variance + EPS).rsqrt()
