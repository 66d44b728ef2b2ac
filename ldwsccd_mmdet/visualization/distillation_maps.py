"""What local distillation sees at each level: mask, attention of both, and where the error lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..models.losses import DistillationMaps

__all__ = ['error_in_boxes', 'plot_distillation_maps']

COLUMNS = (
    'Mask (eq. 9)\ncells that count as foreground',
    "Teacher's spatial attention (eq. 10)\n1 everywhere would be even",
    "Student's spatial attention\nsame scale as the teacher's",
    'Feature error (eq. 12)\nwhat the student has yet to learn',
)
# perceptually even, and told apart by the colour-blind
ATTENTION, ERROR = 'cividis', 'inferno'
MASK = ListedColormap(['#f2f2f2', '#56B4E9'])
HIDDEN = 0.55  # how far cells outside the mask darken where a photograph lies below: it is white
TOP = 99.5  # the colour scale ends at this percentile: one cell must not darken all others


def plot_distillation_maps(
    maps: Sequence[DistillationMaps],
    bboxes: np.ndarray,
    input_size: tuple[int, int],
    image: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    title: str = '',
    index: int = 0,
) -> Figure:
    """Draw one image's masks, attentions and errors, one row a level.

    Below each map stands what to read from it: the share of cells in the mask, Pearson's
    correlation of both attentions over the cells, and the share of the error that lies in the mask.

    Args:
        maps: One a level, as ``LocalDistillationLoss.maps`` gives them.
        bboxes: x1, y1, x2, y2 in pixels of the padded batch tensor, (n, 4).
        input_size: (H_in, W_in) of the padded batch tensor, in pixels.
        image: RGB (H, W, 3) ``uint8`` with H <= H_in, W <= W_in, shown below the masks; None
            leaves the photograph out.
        names: Name of each level; by default its stride and size.
        title: Title of the figure.
        index: Which image of the batch.

    Raises:
        ValueError: If there is no level, or ``names`` are not as many.
    """
    if not maps or (names is not None and len(names) != len(maps)):
        raise ValueError(
            f'expected at least one level and as many names, found {len(maps)} levels and '
            f'{len(names or ())} names'
        )
    figure = Figure(figsize=(13, 0.9 + 3.0 * len(maps)), layout='constrained')
    axes = figure.subplots(len(maps), len(COLUMNS), squeeze=False)
    extent = (0, input_size[1], input_size[0], 0)
    for row, (level, ax) in enumerate(zip(maps, axes, strict=True)):
        mask, teacher, student, error = (part[index].cpu().float().numpy() for part in level)
        _draw_mask(ax[0], mask, image, extent)
        low, high = _limits(teacher, student)
        for one, attention in zip(ax[1:3], (teacher, student), strict=True):
            shown = one.imshow(attention, ATTENTION, vmin=low, vmax=high, extent=extent)
        figure.colorbar(shown, ax=ax[1:3], shrink=0.85, pad=0.01, extend='max')
        shown = ax[3].imshow(error, ERROR, vmin=0, vmax=_limits(error)[1], extent=extent)
        figure.colorbar(shown, ax=ax[3], shrink=0.85, pad=0.02, extend='max')

        ax[0].set_ylabel(names[row] if names else _name(mask, input_size), fontsize=11)
        ax[0].set_xlabel(f'{mask.mean():.1%} of the cells')
        ax[1].set_xlabel(f'from {teacher.min():.2g} to {teacher.max():.3g}')
        ax[2].set_xlabel(f"correlation with the teacher's {_correlation(teacher, student)}")
        ax[3].set_xlabel(_where(error_in_boxes(mask, error)))
        for column, one in enumerate(ax):
            _finish(one, bboxes, extent, '#D55E00' if column == 0 else 'white')
    for one, text in zip(axes[0], COLUMNS, strict=True):
        one.set_title(text, fontsize=11)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def error_in_boxes(mask: np.ndarray, error: np.ndarray) -> float | None:
    """Share of the error that lies in the mask, in [0, 1]; None where there is no error."""
    total = float(error.sum())
    return float((error * mask).sum()) / total if total > 0 else None


def _draw_mask(
    ax: Axes, mask: np.ndarray, image: np.ndarray | None, extent: tuple[int, int, int, int]
) -> None:
    """The mask, or the photograph with what is outside the mask darkened."""
    if image is None:
        ax.imshow(mask, MASK, vmin=0, vmax=1, extent=extent, interpolation='nearest')
        return
    ax.imshow(image, extent=(0, image.shape[1], image.shape[0], 0))
    veil = np.zeros((*mask.shape, 4))
    veil[..., 3] = HIDDEN * (1 - mask)
    ax.imshow(veil, extent=extent, interpolation='nearest')


def _finish(ax: Axes, bboxes: np.ndarray, extent: tuple[int, int, int, int], color: str) -> None:
    """Draw the boxes; no ticks."""
    for x1, y1, x2, y2 in np.asarray(bboxes, float).reshape(-1, 4):
        ax.add_patch(
            Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=0.8)
        )
    ax.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])


def _limits(*maps: np.ndarray) -> tuple[float, float]:
    """Least value and a high percentile; never equal."""
    low = float(min(one.min() for one in maps))
    high = float(max(np.percentile(one, TOP) for one in maps))
    return low, high if high > low else low + 1e-6


def _name(mask: np.ndarray, input_size: tuple[int, int]) -> str:
    stride = (input_size[0] * input_size[1] / mask.size) ** 0.5
    return f'stride {stride:.3g}: {mask.shape[0]} x {mask.shape[1]} cells'


def _correlation(one: np.ndarray, other: np.ndarray) -> str:
    if one.std() == 0 or other.std() == 0:
        return 'undefined: one is constant'
    return f'{np.corrcoef(one.ravel(), other.ravel())[0, 1]:.2f}'


def _where(share: float | None) -> str:
    return 'no error' if share is None else f'{share:.0%} of the error in the mask'
