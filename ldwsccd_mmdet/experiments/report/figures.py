"""The figures of a report, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...evaluation.functional import Curve, interval, roc_curve
from .figure_style import SVG_SETTINGS, line_styles, name_lines, save_svg
from .tables import ModelResult

__all__ = ['plot_calibration', 'plot_cost', 'plot_froc', 'plot_precision_recall', 'plot_roc']

_TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)
_COSTS = {
    'latency': 'latency of one image, ms',
    'gflops': 'GFLOPs of one image',
    'parameters': 'parameters, millions',
}
_POINTS = 300  # points of a curve: more cannot be seen


def plot_precision_recall(models: Sequence[ModelResult]) -> str:
    """Plot precision over recall, one panel a class, one line a model (Fig. 3 of the paper).

    The area under each line is the AP: at each recall it shows the best precision at this recall or
    a higher one. A marker is the point with the highest F1. Several seeds are drawn alike.
    """
    first = models[0].runs[0].metrics
    shown = np.flatnonzero(first.num_truths > 0)
    if not shown.size:
        return ''
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(2.7 * columns + 0.3, 2.5 * rows + 0.5), layout='constrained')
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for number, (axis, label) in enumerate(zip(axes, shown, strict=False)):
            for model, style in zip(models, line_styles(len(models)), strict=True):
                for run in model.runs:
                    _precision_recall(axis, run.metrics.curves[label], style)
                    point = run.metrics.points[label]
                    axis.plot(
                        point.recall,
                        point.precision,
                        marker=style['marker'],
                        ms=4.5,
                        color=style['color'],
                        ls='',
                    )
            axis.set_title(f'{first.classes[label]} ({first.num_truths[label]})', fontsize=10)
            axis.set(xlim=(0, 1), ylim=(0, 1.03), xticks=_TICKS, yticks=_TICKS)
            if number % columns == 0:
                axis.set_ylabel('precision')
            if number + columns >= len(shown):  # nothing below it
                axis.set_xlabel('recall')
            axis.grid(alpha=0.3)
        for axis in axes[len(shown) :]:
            axis.remove()
        _legend(figure, models)
        return save_svg(figure)


def _precision_recall(axis: Axes, curve: Curve, style: dict) -> None:
    """Draw one curve, made monotone."""
    precision = np.maximum.accumulate(curve.precision[::-1])[::-1]
    recall = curve.recall
    corners = np.flatnonzero(np.diff(recall, prepend=0) > 0)  # where a truth was found
    if len(corners) > _POINTS:
        corners = corners[np.linspace(0, len(corners) - 1, _POINTS).astype(int)]
    if not len(corners):
        return
    x, y = recall[corners], precision[corners]
    axis.plot(
        np.r_[0, x, x[-1]],
        np.r_[y[0], y, 0],
        color=style['color'],
        ls=style['ls'],
        lw=1.3,
        drawstyle='steps-pre',
    )


def plot_froc(models: Sequence[ModelResult]) -> str:
    """Plot sensitivity over false positives an image (FROC), all classes in one list."""
    first = models[0].runs[0].metrics
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(6.2, 3.9), layout='constrained')
        axis = figure.subplots()
        for model, style in zip(models, line_styles(len(models)), strict=True):
            for run in model.runs:
                curve, images = run.metrics.pooled_curve, len(run.metrics.matches.image_ids)
                rates = curve.false / images
                chosen = np.unique(np.searchsorted(rates, np.geomspace(0.05, 100, _POINTS)))
                chosen = chosen[chosen < len(rates)]
                axis.plot(
                    rates[chosen],
                    curve.recall[chosen],
                    color=style['color'],
                    ls=style['ls'],
                    lw=1.4,
                )
                axis.plot(
                    run.metrics.rates,
                    run.metrics.pooled_sensitivity,
                    ls='',
                    ms=5,
                    marker=style['marker'],
                    color=style['color'],
                )
        for rate in first.rates:
            axis.axvline(rate, color='0.75', lw=0.8, zorder=0)
        axis.set_xscale('log')
        ticks = sorted({0.1, 1, 4, 16, 64, *first.rates})
        axis.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
        axis.minorticks_off()
        axis.set(
            xlim=(0.05, 100),
            ylim=(0, 1),
            xlabel='false positives an image (log scale)',
            ylabel='sensitivity',
        )
        axis.grid(alpha=0.3, axis='y')
        _legend(figure, models)
        return save_svg(figure)


def plot_calibration(models: Sequence[ModelResult]) -> str:
    """Plot precision over score in bins: on the diagonal a score keeps what it promises."""
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(4.6, 3.9), layout='constrained')
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color='0.6', lw=0.8)
        for model, style in zip(models, line_styles(len(models)), strict=True):
            for run in model.runs:
                bins = run.metrics.calibration
                known = bins.count > 0
                axis.plot(bins.score[known], bins.precision[known], lw=1.2, ms=4, **style)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel='score', ylabel='precision', aspect='equal')
        axis.grid(alpha=0.3)
        _legend(figure, models, columns=3)
        return save_svg(figure)


def plot_roc(models: Sequence[ModelResult]) -> str:
    """Plot the ROC of whole images: all target classes together, then each class of both kinds.

    Empty if all images are of one kind for every class.
    """
    first = models[0].runs[0].metrics
    present = first.image_level.present
    both = [int(c) for c in np.flatnonzero(present.any(0) & ~present.all(0))]
    shown = both[-1:] + both[:-1] if both and both[-1] == present.shape[1] - 1 else both
    if not shown:
        return ''
    titles = [*first.classes, 'any target cell']
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(2.7 * columns + 0.3, 2.6 * rows + 0.5), layout='constrained')
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, column in zip(axes, shown, strict=False):
            axis.plot([0, 1], [0, 1], color='0.6', lw=0.8)
            for model, style in zip(models, line_styles(len(models)), strict=True):
                for run in model.runs:
                    level = run.metrics.image_level
                    curve = roc_curve(level.score[:, column], level.present[:, column])
                    axis.plot(curve.fpr, curve.tpr, lw=1.3, **{**style, 'marker': ''})
            axis.set_title(f'{titles[column]} ({int(present[:, column].sum())})', fontsize=10)
            axis.set(xlim=(0, 1), ylim=(0, 1.03), xticks=_TICKS, yticks=_TICKS)
            axis.set(xlabel='false-positive rate', ylabel='sensitivity')
            axis.grid(alpha=0.3)
        for axis in axes[len(shown) :]:
            axis.remove()
        _legend(figure, models)
        return save_svg(figure)


def plot_cost(models: Sequence[ModelResult]) -> str:
    """Plot mAP over what a model costs: its latency, else its GFLOPs, else its parameters.

    Bars are the 95 % intervals over images. Empty where nothing is known of any model.
    """
    keys = [key for key in _COSTS if any(m.cost and getattr(m.cost, key) > 0 for m in models)]
    if not keys:
        return ''
    key, name = keys[0], _COSTS[keys[0]]
    known = [m for m in models if m.cost and getattr(m.cost, key) > 0]
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(6.2, 3.9), layout='constrained')
        axis = figure.subplots()
        points: list[Line2D] = []
        for model, style in zip(models, line_styles(len(models)), strict=True):
            if model not in known:
                continue
            x, y = getattr(model.cost, key), np.mean([run.metrics.mean_ap for run in model.runs])
            samples = [r.metrics.bootstrap.mean_ap for r in model.runs if r.metrics.bootstrap]
            if len(samples) == len(model.runs):
                axis.vlines(x, *interval(np.mean(samples, axis=0)), color=style['color'], lw=1)
            points += axis.plot(x, y, ms=7, **{**style, 'ls': ''})
        # not beside the points: near ones would write over each other
        name_lines(figure, points, [model.name for model in known])
        axis.set(xlabel=f'{name} (left is better)', ylabel='mAP', ylim=(0, 1), xmargin=0.25)
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
        return save_svg(figure)


def _legend(figure: Figure, models: Sequence[ModelResult], columns: int = 6) -> None:
    """Name the lines above the panels."""
    handles = [Line2D([], [], lw=1.4, ms=4.5, **style) for style in line_styles(len(models))]
    name_lines(figure, handles, [model.name for model in models], columns)
