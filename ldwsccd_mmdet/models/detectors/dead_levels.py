"""Whether a teacher's maps say anything of the image."""

from collections.abc import Sequence

from torch import Tensor

# of the spread of all values: below it the images hardly differ
TOLERANCE = 1e-2


def dead_levels(feats: Sequence[Tensor]) -> list[int]:
    r"""Find the levels whose map is the same for all images of a batch.

    A level is dead if

    .. math::
        \operatorname{mean}_{c, y, x} \operatorname{std}_n F_{n, c, y, x}
        \le 0.01 \operatorname{std}_{n, c, y, x} F_{n, c, y, x}

    It happens to pretrained backbones trained at the rate of new layers: their units saturate, and
    what is left in the map is its padding. A student learns nothing from it.

    Args:
        feats: Maps F (N, C, H, W), one a level, of different images.

    Returns:
        Indices of the dead levels; none if N is 1, for then nothing can be said.
    """
    return [
        level
        for level, feat in enumerate(feats)
        if len(feat) > 1 and bool(feat.float().std(dim=0).mean() <= TOLERANCE * feat.float().std())
    ]


def own_attention(attention: Tensor) -> float:
    r"""Share of a level's attention that differs from image to image.

    .. math::
        \frac{N}{N - 1} \frac{\sum_{n i} (A_{n i} - \bar A_i)^2}{\sum_{n i} (A_{n i} - \bar A)^2},
        \qquad \bar A_i = \frac{1}{N} \sum_n A_{n i}

    It is 0 where a teacher looks at the same cells of the map in all images, such as the corners,
    and near 1 where the place says nothing. With few images it is rough.

    Args:
        attention: Spatial attention of the teacher, eq. 10, (N, H, W), of different images.

    Returns:
        The share; NaN if N is 1 or the attention is the same everywhere.
    """
    flat = attention.detach().double().flatten(1)
    total = (flat - flat.mean()).square().sum()
    if len(flat) < 2 or not total > 0:
        return float('nan')
    own = (flat - flat.mean(dim=0)).square().sum() * len(flat) / (len(flat) - 1)
    return float(own / total)
