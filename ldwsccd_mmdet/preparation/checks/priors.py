"""Do the anchors of a config fit the boxes: which box can be matched by none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from mmdet.registry import TASK_UTILS
from mmengine.config import Config

from ...errors import ConfigError
from .finding import Finding

__all__ = ['PriorFit', 'best_prior_iou', 'check_priors', 'fit_priors', 'prior_settings']

_SIZES = tuple(range(256, 1345, 64))
_ENOUGH = 0.99  # share of matched boxes from which nothing else is advised


@dataclass(frozen=True)
class PriorFit:
    """How a config's anchors fit a set of boxes.

    Attributes:
        input_size: Width and height of the network's input, pixels.
        iou_thr: Overlap at which an anchor is a box's.
        matched: Share of the boxes that some anchor matches.
        too_small, too_large, too_long, off_grid: Numbers of the others, by reason: smaller or
            larger than any anchor of their shape, of a ratio no anchor has, or of a fitting shape
            but between the positions of the anchors.
        by_size: Share matched for other input sizes, anchors in pixels as they are.
        suggested_size: The least of these that matches 99 %, or the best.
        suggested_sizes: ``min_sizes`` for the config's input size, from the boxes' own sizes, as
            many as there are levels; ``max_sizes`` are each the next one. None if no better.
        suggested_matched: Share matched with them.
    """

    input_size: tuple[int, int]
    iou_thr: float
    matched: float
    too_small: int
    too_large: int
    too_long: int
    off_grid: int
    by_size: dict[int, float]
    suggested_size: int
    suggested_sizes: list[float] | None
    suggested_matched: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def prior_settings(config: Config) -> tuple[dict, tuple[int, int], bool]:
    """Read from a config its anchor generator, input size, and whether that keeps the ratio.

    Raises:
        ConfigError: The config has no anchors, or its test pipeline no ``Resize``.
    """
    model = config.get('model', {})
    head = model.get('rpn_head') or model.get('bbox_head') or {}
    generator = head.get('anchor_generator') if isinstance(head, Mapping) else None
    if generator is None:
        raise ConfigError(
            '--config: model.bbox_head has no anchor_generator: give a config with anchors, or '
            'leave --config out'
        )
    dataset = config.test_dataloader.dataset
    resize = [step for step in dataset.get('pipeline', ()) if step.get('type') == 'Resize']
    if not resize or 'scale' not in resize[0]:
        raise ConfigError(
            '--config: the pipeline of test_dataloader has no Resize with a scale: the size of '
            'the input is not known'
        )
    width, height = resize[0]['scale']
    return dict(generator), (int(width), int(height)), bool(resize[0].get('keep_ratio', False))


def scale_boxes(
    boxes: np.ndarray, image_sizes: np.ndarray, input_size: tuple[float, float], keep_ratio: bool
) -> np.ndarray:
    """Scale boxes as ``Resize`` does.

    Args:
        boxes: x, y, w, h in pixels of their images, shape ``(n, 4)``.
        image_sizes: Width and height of each box's image, shape ``(n, 2)``.
        input_size: Width and height of the input, pixels.
        keep_ratio: Whether one factor is used for both sides.

    Returns:
        x, y, w, h in pixels of the input, shape ``(n, 4)``.
    """
    if keep_ratio:
        sides = np.sort(image_sizes, axis=1)
        short, long = sorted(input_size)
        factor = np.minimum(short / sides[:, 0], long / sides[:, 1])[:, None].repeat(2, 1)
    else:
        factor = np.asarray(input_size) / image_sizes
    return boxes * np.tile(factor, (1, 2))


def best_prior_iou(
    boxes: np.ndarray,
    base_anchors: Sequence[np.ndarray],
    strides: Sequence[tuple[int, int]],
    input_size: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Find the largest IoU of each box with any anchor.

    Of all positions of an anchor the nearest one overlaps a box most, along each axis by itself: so
    one position a shape is enough, and the result is exact.

    Args:
        boxes: x, y, w, h in pixels of the input, shape ``(n, 4)``.
        base_anchors: For each level its anchors at the first position, x1, y1, x2, y2.
        strides: For each level the step between positions, x and y, pixels.
        input_size: Width and height of the input, pixels.

    Returns:
        With the anchors where they are, and with each centred on the box: two arrays ``(n,)``.
    """
    boxes = np.asarray(boxes, float)
    size, centre = boxes[:, None, 2:], boxes[:, None, :2] + boxes[:, None, 2:] / 2
    placed, centred = np.zeros(len(boxes)), np.zeros(len(boxes))
    for anchors, stride in zip(base_anchors, strides, strict=True):
        anchors = np.asarray(anchors, float)
        first = (anchors[:, :2] + anchors[:, 2:]) / 2
        anchor = anchors[:, 2:] - anchors[:, :2]
        step = np.asarray(stride, float)
        last = np.ceil(np.asarray(input_size) / step) - 1
        at = first + np.clip(np.rint((centre - first) / step), 0, last) * step
        both = np.minimum(size, anchor).prod(-1)
        low = np.maximum(centre - size / 2, at - anchor / 2)
        high = np.minimum(centre + size / 2, at + anchor / 2)
        common = (high - low).clip(min=0).prod(-1)
        total = size.prod(-1) + anchor.prod(-1)
        centred = np.maximum(centred, (both / (total - both)).max(1))
        placed = np.maximum(placed, (common / (total - common)).max(1))
    return placed, centred


def _shapes(generator: Mapping) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    built = TASK_UTILS.build(dict(generator), default_args={})
    return [np.asarray(a, float) for a in built.base_anchors], list(built.strides)


def fit_priors(
    boxes: np.ndarray,
    image_sizes: np.ndarray,
    generator: Mapping,
    input_size: tuple[int, int],
    keep_ratio: bool = False,
    iou_thr: float = 0.5,
) -> tuple[PriorFit, np.ndarray]:
    """Measure how the anchors of a config fit boxes, and what would fit better.

    Args:
        boxes: x, y, w, h in pixels of their images, shape ``(n, 4)``.
        image_sizes: Width and height of each box's image, shape ``(n, 2)``.
        generator: The config's ``anchor_generator``.
        input_size: Width and height of the input, pixels.
        keep_ratio: Whether ``Resize`` keeps the ratio.
        iou_thr: Overlap at which an anchor is a box's.

    Returns:
        The result, and for each box whether an anchor matches it.
    """
    anchors, strides = _shapes(generator)
    scaled = scale_boxes(boxes, image_sizes, input_size, keep_ratio)
    placed, centred = best_prior_iou(scaled, anchors, strides, input_size)
    matched = placed >= iou_thr
    shapes = np.concatenate([a[:, 2:] - a[:, :2] for a in anchors])
    areas, side = shapes.prod(1), np.sqrt(scaled[:, 2:].prod(1))
    off_grid = ~matched & (centred >= iou_thr)
    small = ~matched & ~off_grid & (side**2 < areas.min())
    large = ~matched & ~off_grid & (side**2 > areas.max())
    by_size = {}
    for size in _SIZES:
        other = size / max(input_size)
        frame = (input_size[0] * other, input_size[1] * other)
        at = scale_boxes(boxes, image_sizes, frame, keep_ratio)
        by_size[size] = float((best_prior_iou(at, anchors, strides, frame)[0] >= iou_thr).mean())
    best = max(by_size.values())
    suggested = next(size for size, share in by_size.items() if share >= min(_ENOUGH, best))
    sizes, share = _suggest_sizes(scaled, side, generator, strides, input_size, iou_thr)
    fit = PriorFit(
        input_size,
        iou_thr,
        float(matched.mean()),
        int(small.sum()),
        int(large.sum()),
        int((~matched & ~off_grid & ~small & ~large).sum()),
        int(off_grid.sum()),
        by_size,
        suggested,
        sizes if share > matched.mean() else None,
        share,
    )
    return fit, matched


def _suggest_sizes(
    scaled: np.ndarray,
    side: np.ndarray,
    generator: Mapping,
    strides: Sequence[tuple[int, int]],
    input_size: tuple[int, int],
    iou_thr: float,
) -> tuple[list[float] | None, float]:
    """Spread the sizes of SSD's priors evenly, in ratio, over the sizes of the boxes."""
    if generator.get('type') != 'SSDAnchorGenerator':
        return None, 0.0
    levels = len(strides)
    low, high = np.quantile(side, [0.01, 0.99])
    high = max(high, low * 1.25 ** (levels - 1))  # sizes of one value need no levels
    sizes = np.round(np.geomspace(low, high, levels + 1), 1).tolist()
    other = {
        **generator,
        'basesize_ratio_range': None,
        'min_sizes': sizes[:-1],
        'max_sizes': sizes[1:],
    }
    placed, _ = best_prior_iou(scaled, *_shapes(other), input_size)
    return sizes, float((placed >= iou_thr).mean())


def check_priors(fit: PriorFit, matched: np.ndarray, items: list[dict[str, Any]]) -> list[Finding]:
    """Report boxes that no prior matches.

    Args:
        fit: What :func:`fit_priors` returned.
        matched: For each box whether a prior matches it.
        items: Description of each box.
    """
    lost = [item for item, ok in zip(items, matched, strict=True) if not ok]
    if not lost:
        return []
    reasons = [
        f'{count} {why}'
        for count, why in (
            (fit.too_small, 'too small'),
            (fit.too_large, 'too large'),
            (fit.too_long, 'of another shape'),
            (fit.off_grid, 'between the positions'),
        )
        if count
    ]
    remedies = []
    share = fit.by_size[fit.suggested_size]
    if share > fit.matched and fit.matched < _ENOUGH:
        remedies.append(f'an input of {fit.suggested_size} px matches {100 * share:.1f} %')
    if fit.suggested_sizes and fit.matched < _ENOUGH:
        sizes = ', '.join(f'{size:g}' for size in fit.suggested_sizes[:-1])
        remedies.append(
            f'basesize_ratio_range=None, min_sizes=[{sizes}], max_sizes=[the next one each, '
            f'{fit.suggested_sizes[-1]:g} last] match {100 * fit.suggested_matched:.1f} %'
        )
    level = 'warning' if len(lost) > 0.05 * len(matched) else 'note'
    return [
        Finding(
            'prior-none',
            level,
            f'{len(lost)} of {len(matched)} boxes reach IoU {fit.iou_thr:g} with no prior at '
            f'{fit.input_size[0]} x {fit.input_size[1]} px ({", ".join(reasons)}): each is left '
            'with its single best one',
            '; '.join(remedies),
            lost,
        )
    ]
