"""MIL head whose last stage learns from the mean of all others."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .mil_refinement_head import MILRefinementHead


@MODELS.register_module()
class RefinementDistillationHead(MILRefinementHead):
    r"""MIL head with refinement distillation (Zeni and Jung, CVPR Workshops 2020).

    Beside the K stages there is one more, the distilled one, which the mean of all K teaches:

    .. math::
        \bar p_r = \frac{1}{K} \sum_{k=1}^{K} p_r^k, \qquad
        L_{dist} = L_{ref}(p^{K+1}, \bar p)

    with :math:`L_{ref}` eq. 16 of LD-WSCCD: :math:`\bar p` chooses the seeds and their scores. No
    gradient flows into :math:`\bar p`. At test the scores are the mean of the K + 1.

    Args:
        num_stages: K, the stages without the distilled one.
        **kwargs: As :class:`MILRefinementHead`; ``reg_stages`` and the weights of
            ``loss_weight.refine`` count the distilled stage, which is the last.
    """

    @property
    def num_classifiers(self) -> int:
        """How many classifiers over C + 1 classes there are: K + 1."""
        return self.num_stages + 1

    @property
    def _classifiers(self) -> str:
        return f'num_stages + 1 = {self.num_classifiers}'

    def teacher_scores(self, mil: Tensor, probs: list[Tensor]) -> Tensor:
        """Scores that teach the next stage, see :meth:`MILRefinementHead.teacher_scores`."""
        if len(probs) == self.num_stages:
            return torch.stack(probs).mean(dim=0)
        return super().teacher_scores(mil, probs)
