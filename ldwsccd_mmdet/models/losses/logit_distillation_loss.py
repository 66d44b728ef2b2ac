"""Distillation of class scores: the student's priors are taught what the teacher's say."""

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import check_argument
from ..utils import float_dtype, no_autocast


@MODELS.register_module()
class LogitDistillationLoss(BaseModule):
    r"""What the teacher's head says of each prior, beside what its maps show (eq. 9-14).

    With the logits :math:`z^S, z^T` of student and teacher, :math:`A` equal priors an image and
    background as the last of the :math:`C + 1` classes,

    .. math::
        q = \mathrm{softmax}(z^T / T), \qquad p = \mathrm{softmax}(z^S / T), \qquad
        w_a = 1 - \mathrm{softmax}(z^T_a)_{bg}

        L_{logit} = \frac{\lambda}{N} \sum_n \frac{T^2}{\max(\sum_a w_{n a}, 1)}
        \sum_a w_{n a} \sum_c q_{n a c} \log \frac{q_{n a c}}{p_{n a c}}

    (Hinton et al., arXiv 1503.02531; :math:`T^2` keeps the gradient's scale.) The paper has no such
    term. The weight :math:`w` is ours: nearly all priors are plain background to both heads, and
    without it they would be all of the sum. What the teacher is sure is background is the detection
    loss's matter; what it takes for a cell counts here, be it annotated or not. An image where it
    sees fewer than one prior's worth of cells adds the less.

    Each image is averaged by itself, so a batch is the mean of its images. All is float32 whatever
    the autocast. The teacher's logits are constants.

    Args:
        loss_weight: :math:`\lambda \ge 0`.
        temperature: :math:`T > 0`.

    Raises:
        ConfigError: If an argument is outside its range.

    Example:
        One prior and one class. The teacher is sure of a cell, the student undecided: log 2.

        >>> loss = LogitDistillationLoss(temperature=1.0)
        >>> loss(torch.zeros(1, 1, 2), torch.tensor([[[40.0, 0.0]]]))
        tensor(0.6931)
    """

    def __init__(self, loss_weight: float = 1.0, temperature: float = 2.0) -> None:
        super().__init__()
        key = 'logit_distillation'
        check_argument(loss_weight >= 0, f'{key}.loss_weight', '>= 0', loss_weight)
        check_argument(temperature > 0, f'{key}.temperature', '> 0', temperature)
        self.loss_weight = loss_weight
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            student: Logits (N, A, C + 1), background last.
            teacher: Logits of the same priors and classes, (N, A, C + 1); no gradient goes there.

        Returns:
            A scalar in float32 (float64 for float64 logits).
        """
        dtype = float_dtype(student)
        with no_autocast(student):
            # classes before priors: on a CPU a softmax over a short last dimension is slow
            student, teacher = (
                logits.to(dtype).transpose(1, 2) for logits in (student, teacher.detach())
            )
            weight = 1 - teacher.softmax(dim=1)[:, -1]
            log_q = (teacher / self.temperature).log_softmax(dim=1)
            log_p = (student / self.temperature).log_softmax(dim=1)
            divergence = (log_q.exp() * (log_q - log_p)).sum(dim=1)
            per_image = (weight * divergence).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
            return self.loss_weight * self.temperature**2 * per_image.mean()
