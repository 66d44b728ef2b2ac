"""Attention of a feature map: where it is active, and in which channels."""

from torch import Tensor

from ...errors import check_argument
from ..utils import at_least_float32, no_autocast


def _check(feat: Tensor, temperature: float, name: str) -> None:
    check_argument(
        feat.dim() == 4,
        f'{name}.feat',
        'the shape (N, C, H, W)',
        tuple(feat.shape),
        'add the batch dimension with feat[None]',
    )
    check_argument(temperature > 0, f'{name}.temperature', '> 0', temperature)


def attention_of_energy(energy: Tensor, temperature: float) -> Tensor:
    r"""Attention :math:`A = K \cdot \mathrm{softmax}(G / T)` over K places, mean 1.

    Args:
        energy: :math:`G`, shape (N, K), float32 or float64.
        temperature: :math:`T` > 0; the smaller, the sharper.

    Returns:
        Attention of shape (N, K), in [0, K].
    """
    return (energy / temperature).softmax(dim=1) * energy.shape[1]


def spatial_attention(feat: Tensor, temperature: float) -> Tensor:
    r"""Spatial attention :math:`A^S`, eq. 10.

    .. math::
        G^S(F) = \frac{1}{C} \sum_c |F_c|, \qquad
        A^S(F) = H W \cdot \mathrm{softmax}_{H W}\big(G^S(F) / T\big)

    Computed in float32 (float64 stays float64) whatever the autocast. Training has it with its
    gradient from :class:`LevelDistillation`, which takes the same :func:`attention_of_energy` of
    sums that it makes chunk by chunk; the tests hold that to this function.

    Args:
        feat: Feature map :math:`F`, shape (N, C, H, W).
        temperature: :math:`T` > 0; the smaller, the sharper.

    Returns:
        Attention of shape (N, H, W); its mean over H x W is 1, its range [0, HW].

    Raises:
        ConfigError: If ``feat`` is not 4-D or ``temperature`` is not positive.

    Example:
        >>> feat = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])  # one cell of the map is active
        >>> spatial_attention(feat, temperature=0.5)
        tensor([[[0.3850, 0.3850],
                 [0.3850, 2.8449]]])
    """
    _check(feat, temperature, 'spatial_attention')
    with no_autocast(feat):
        energy = at_least_float32(feat).abs().mean(dim=1).flatten(1)
        attention = attention_of_energy(energy, temperature)
    return attention.view(-1, *feat.shape[-2:])


def channel_attention(feat: Tensor, temperature: float) -> Tensor:
    r"""Channel attention :math:`A^C`, eq. 11.

    .. math::
        G^C(F) = \frac{1}{H W} \sum_{i, j} |F_{i j}|, \qquad
        A^C(F) = C \cdot \mathrm{softmax}_C\big(G^C(F) / T\big)

    Computed in float32 (float64 stays float64) whatever the autocast. Training has it with its
    gradient from :class:`LevelDistillation`, which takes the same :func:`attention_of_energy` of
    sums that it makes chunk by chunk; the tests hold that to this function.

    Args:
        feat: Feature map :math:`F`, shape (N, C, H, W).
        temperature: :math:`T` > 0; the smaller, the sharper.

    Returns:
        Attention of shape (N, C); its mean over C is 1, its range [0, C].

    Raises:
        ConfigError: If ``feat`` is not 4-D or ``temperature`` is not positive.

    Example:
        >>> feat = torch.zeros(1, 2, 4, 4)
        >>> feat[:, 1] = 1  # the second channel is active everywhere
        >>> channel_attention(feat, temperature=0.5)
        tensor([[0.2384, 1.7616]])
    """
    _check(feat, temperature, 'channel_attention')
    with no_autocast(feat):
        energy = at_least_float32(feat).abs().mean(dim=(2, 3))
        return attention_of_energy(energy, temperature)
