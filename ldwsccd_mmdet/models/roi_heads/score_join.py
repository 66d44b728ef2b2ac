"""How the scores of the dense head and of the MIL head become one."""

import torch
from torch import Tensor, nn

EPS = 1e-6


class ScoreJoin(nn.Module):
    r"""Joins two scores by a log-linear stack, fitted by logistic regression.

    .. math::
        \mathrm{logit} P(\text{cell of class } c) = b_c + w_1 \log p_{ssd} + w_2 \log p_{mil}

    Weights are shared by all classes; :math:`b_c` makes the result a probability, and does not
    change the order within a class, which is what AP sees. Before it is fitted the join is the
    geometric mean, :math:`\sqrt{p_{ssd} \, p_{mil}}`: the same order as equal weights.

    Its numbers are buffers, so they lie in the checkpoint; one without them loads too.

    Args:
        num_classes: C.
    """

    weights: Tensor
    bias: Tensor
    fitted: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.register_buffer('weights', torch.full((2,), 0.5))
        self.register_buffer('bias', torch.zeros(num_classes))
        self.register_buffer('fitted', torch.zeros((), dtype=torch.bool))

    def forward(self, ssd: Tensor, mil: Tensor) -> Tensor:
        """Join scores.

        Args:
            ssd: Of the dense head, (R, C), in [0, 1].
            mil: Of the MIL head, (R, C), in [0, 1].

        Returns:
            (R, C), in [0, 1].
        """
        if not self.fitted:
            return (ssd * mil).sqrt()
        x = torch.stack([ssd, mil], dim=-1).clamp(min=EPS).log()
        return (x @ self.weights.to(x) + self.bias.to(x)).sigmoid()

    @torch.no_grad()
    def fit(
        self, ssd: Tensor, mil: Tensor, labels: Tensor, hits: Tensor, ridge: float = 10.0
    ) -> None:
        r"""Fit weights and biases by Newton's method, in float64.

        The penalty :math:`\frac{\lambda}{2} \big( (w_1 - w_2)^2 + \sum_c (b_c - \bar b)^2 / 10
        \big)` draws towards equal weights and one bias, so that few boxes do no harm. No weight is
        negative: a head that is of no use is left out.

        Args:
            ssd: Scores of n boxes, each for one class, (n,).
            mil: Scores of the same boxes, (n,).
            labels: Their classes, (n,).
            hits: Whether each is a cell of its class, (n,).
            ridge: :math:`\lambda > 0`.
        """
        if not 0 < int(hits.sum()) < len(hits):
            return
        num_classes = len(self.bias)
        x = torch.stack([ssd, mil], dim=-1).double().clamp(min=EPS).log()
        design = torch.cat([x, nn.functional.one_hot(labels, num_classes).double()], dim=1)
        penalty = torch.zeros(design.shape[1], design.shape[1], dtype=torch.float64)
        penalty[:2, :2] = ridge * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
        centre = torch.eye(num_classes) - 1 / num_classes
        penalty[2:, 2:] = ridge / 10 * centre.double()
        penalty += 1e-6 * torch.eye(len(penalty), dtype=torch.float64)
        theta = _newton(design.cpu(), hits.double().cpu(), penalty)
        for useless in (0, 1):
            if theta[useless] < 0:
                free = [i for i in range(len(theta)) if i != useless]
                part = penalty[free][:, free]
                part[0, 0] = 1e-6
                theta = torch.zeros_like(theta)
                theta[free] = _newton(design.cpu()[:, free], hits.double().cpu(), part)
                break
        self.weights.copy_(theta[:2])
        self.bias.copy_(theta[2:])
        self.fitted.fill_(True)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, metadata: dict, strict: bool, *args: object
    ) -> None:
        """Load; a checkpoint of before there was a join leaves it unfitted."""
        for name, buffer in self.named_buffers():
            state_dict.setdefault(prefix + name, buffer.clone())
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, *args)


def _newton(x: Tensor, y: Tensor, penalty: Tensor, steps: int = 50) -> Tensor:
    """Minimise the logistic loss of y (n,) on x (n, d) plus theta' penalty theta / 2."""

    def value(theta: Tensor) -> Tensor:
        z = x @ theta
        return (nn.functional.softplus(z) - y * z).sum() + theta @ penalty @ theta / 2

    theta = x.new_zeros(x.shape[1])
    for _ in range(steps):
        p = (x @ theta).sigmoid()
        gradient = x.t() @ (p - y) + penalty @ theta
        hessian = x.t() @ (x * (p * (1 - p))[:, None]) + penalty
        step = torch.linalg.solve(hessian + 1e-9 * torch.eye(len(theta)).to(x), gradient)
        size, before = 1.0, value(theta)
        while value(theta - size * step) > before and size > 1e-6:
            size /= 2
        theta = theta - size * step
        if (size * step).abs().max() < 1e-9:
            break
    return theta
