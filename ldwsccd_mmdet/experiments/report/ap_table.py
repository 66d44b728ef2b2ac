"""AP per class of several models in one table, as CSV and Markdown: for pages of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...csv_table import write_csv
from .tables import ModelResult, markdown_text

__all__ = ['ap_rows', 'write_ap_table']


def ap_rows(models: Sequence[ModelResult], baseline: str | None = None) -> list[list[str]]:
    """Tabulate AP in percent: header, one row a model (mean over its seeds), number of boxes.

    Args:
        models: The models, tested on the same images.
        baseline: Name of the model that gains are over, or None.
    """
    first = models[0].runs[0].metrics
    means = {m.name: float(np.mean([run.metrics.mean_ap for run in m.runs])) for m in models}
    label = f'mAP@{round(100 * first.matches.iou_thr)}'
    header = ['model', label] + ([f'gain over {baseline}'] if baseline else [])
    rows = [[*header, *first.classes]]
    for model in models:
        row = [model.name, f'{100 * means[model.name]:.1f}']
        if baseline is not None:
            gain = 100 * (means[model.name] - means[baseline])
            row.append('' if model.name == baseline else f'{gain:+.1f}')
        per_class = np.mean([run.metrics.ap for run in model.runs], axis=0)
        rows.append([*row, *(f'{100 * ap:.1f}' for ap in per_class)])
    truths = [str(int(number)) for number in first.num_truths]
    empty = [''] if baseline is not None else []
    rows.append(['(number of boxes)', str(int(first.num_truths.sum())), *empty, *truths])
    return rows


def write_ap_table(models: Sequence[ModelResult], baseline: str | None, path: Path) -> str:
    """Write :func:`ap_rows` as CSV; returns them as Markdown."""
    rows = ap_rows(models, baseline)
    write_csv(path, rows)
    lines = ['| ' + ' | '.join(map(markdown_text, row)) + ' |' for row in rows]
    return '\n'.join([lines[0], '|' + '---|' * len(rows[0]), *lines[1:]])
