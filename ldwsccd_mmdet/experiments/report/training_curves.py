"""Curves of the losses that a training wrote to its log."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from .figure_style import SVG_SETTINGS, line_styles, name_lines, save_svg

__all__ = [
    'plot_training_curves',
    'plot_validation_curves',
    'read_training_log',
    'read_validation_log',
]


def read_training_log(work_dir: str | Path) -> list[dict[str, Any]]:
    """Read what MMEngine logged in a work directory, over all (resumed) runs of the training.

    Where a run was resumed, the iterations it repeats count once, as in the later run.

    Args:
        work_dir: The ``--work-dir`` of the training.

    Returns:
        The logged training steps in order, each with ``step`` (iterations done), ``epoch``,
        ``loss``, the single losses, ``lr`` and ``time``. Empty if nothing is logged yet.
    """
    return _read(Path(work_dir), 'loss')


def read_validation_log(work_dir: str | Path) -> list[dict[str, Any]]:
    """Read what MMEngine logged of the validations in a work directory.

    Args:
        work_dir: The ``--work-dir`` of the training.

    Returns:
        The validations in order, each with ``step`` (the epoch) and the measures, such as
        ``coco/bbox_mAP_50``; where a run was resumed, those of the later run. Empty if none is
        logged yet.
    """
    return _read(Path(work_dir), '/')


def _read(work_dir: Path, mark: str) -> list[dict[str, Any]]:
    """Read the entries of which a key is, or has, the mark."""
    steps: list[dict[str, Any]] = []
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in log.read_text(encoding='utf-8').splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:  # a line that is being written just now
                continue
            if 'step' in entry and (mark in entry or (mark == '/' and 'loss' not in entry)):
                while steps and steps[-1]['step'] >= entry['step']:
                    steps.pop()
                steps.append(entry)
    return steps


def plot_training_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Plot every loss term over the iterations, one panel a term, one line a model.

    Args:
        logs: By model name, what :func:`read_training_log` returns.

    Returns:
        The figure as SVG text; empty if no log has a loss.
    """
    keys = dict.fromkeys(key for log in logs.values() for entry in log for key in entry)
    # the total first, then as they come
    terms = sorted((key for key in keys if 'loss' in key), key=lambda term: term != 'loss')
    return _plot(logs, terms, 'iteration')


def plot_validation_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Plot every mAP over the epochs, one panel a measure, one line a model.

    Args:
        logs: By model name, what :func:`read_validation_log` returns.

    Returns:
        The figure as SVG text; empty if no log has an mAP.
    """
    keys = dict.fromkeys(key for log in logs.values() for entry in log for key in entry)
    return _plot(logs, [key for key in keys if 'mAP' in key], 'epoch')


def _plot(logs: Mapping[str, Sequence[Mapping[str, Any]]], terms: Sequence[str], steps: str) -> str:
    """Plot some terms over the steps."""
    if not terms:
        return ''
    columns = min(3, len(terms))
    rows = math.ceil(len(terms) / columns)
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(4.0 * columns, 2.5 * rows + 0.4), layout='constrained')
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, term in zip(axes, terms, strict=False):
            for (name, log), style in zip(logs.items(), line_styles(len(logs)), strict=True):
                points = [(entry['step'], entry[term]) for entry in log if term in entry]
                if points:
                    if len(points) > 1:  # a line of one point is invisible
                        style = {**style, 'marker': ''}
                    axis.plot(*zip(*points, strict=True), lw=1.3, label=name, **style)
            axis.set_title(term, fontsize=10)
            axis.set_xlabel(steps)
            axis.grid(alpha=0.3)
        for axis in axes[len(terms) :]:
            axis.remove()
        handles: dict[str, Any] = {}
        for axis in axes[: len(terms)]:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        name_lines(figure, list(handles.values()), list(handles))
        return save_svg(figure)
