"""One self-contained HTML page: detectors side by side on the same annotated images."""

from __future__ import annotations

import ast
import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pycocotools.coco import COCO

from ...datasets.palette import class_palette, hex_color
from .figures import (
    plot_calibration,
    plot_cost,
    plot_froc,
    plot_precision_recall,
    plot_roc,
)
from .gallery import data_uri, error_gallery, field_gallery
from .tables import (
    ModelResult,
    Run,
    Table,
    Value,
    make_tables,
    markdown_text,
    to_csv,
    to_markdown,
)
from .training_curves import plot_training_curves

__all__ = ['Report', 'page_environment', 'write_report', 'write_text']

_CONFUSION_NOTE = (
    'Rows: the truth. Columns: what was detected. Numbers are cells; the shade is their part of '
    'the row. Last column: missed. Last row: detections on no cell, or on one that was taken.'
)
# top-level names of our configs that stand for settings elsewhere in them, or that differ always
_NOT_SETTINGS = ('work_dir', 'teacher', 'weights', 'num_classes', 'metainfo', 'data_root')


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        title: Title of the page.
        truth: The annotated images; ``file_name`` is relative to ``image_dir``.
        image_dir: Folder of the images; None: no pictures.
        models: The detectors, all tested on ``truth``.
        baseline: Name of the model that gains are counted from, or None.
        teacher: Name of the teacher, or None.
        intro: Sentences under the title.
        num_fields: Images in the gallery.
        num_errors: Examples of each kind of error, of each model.
        facts: Tables of names and values under a heading each, such as the label faults.
        stages: Stages of the run: name and seconds (None where it was not timed).
        commands: Commands that repeat the run.
    """

    title: str
    truth: COCO
    image_dir: Path | None
    models: Sequence[ModelResult]
    baseline: str | None = None
    teacher: str | None = None
    intro: Sequence[str] = ()
    num_fields: int = 6
    num_errors: int = 6
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    stages: Sequence[tuple[str, float | None]] = ()
    commands: Sequence[str] = ()


def write_report(report: Report, path: str | Path) -> Path:
    """Write the page, and its tables as CSV and Markdown beside it.

    The page is one HTML file that needs no other file and no network. With ``report.html`` come
    ``report.md`` and the folder ``report_tables`` with a CSV a table.

    Args:
        report: What the page shows.
        path: The file to write; its folder is made.

    Returns:
        The path of the page.

    Raises:
        ValueError: There is no model, a name occurs twice, or baseline or teacher is none of them.
        DatasetError: An image of the gallery is missing.
    """
    names = [model.name for model in report.models]
    if not names:
        raise ValueError('the report has no model (expected one or more); pass models=[...]')
    if len(set(names)) < len(names):
        raise ValueError(f'every model needs a name of its own, found {names}')
    for key in ('baseline', 'teacher'):
        name = getattr(report, key)
        if name is not None and name not in names:
            raise ValueError(f'{key} must be one of {names}, found {name!r}')
    tables = make_tables(report.models, report.baseline, report.teacher)
    page = _page(report, tables)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    words = '\n'.join([f'# {markdown_text(report.title)}', '', *report.intro, ''])
    write_text(path.with_suffix('.md'), words + '\n'.join(map(to_markdown, tables.values())))
    folder = path.with_name(f'{path.stem}_tables')
    folder.mkdir(exist_ok=True)
    confusions = {
        f'confusion-{i}': _confusion_table(model) for i, model in enumerate(report.models, start=1)
    }
    for key, table in {**tables, **confusions}.items():
        write_text(folder / f'{key}.csv', to_csv(table))
    return path


def write_text(path: Path, text: str) -> None:
    """Write a file; a half-written one is never left under the final name."""
    draft = path.with_name(path.name + '.part')
    draft.write_text(text, encoding='utf-8')
    draft.replace(path)


def page_environment() -> Environment:
    """Make what fills the templates; their script is the only one that a page may run."""
    loader = PackageLoader('ldwsccd_mmdet.experiments.report', 'templates')
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['duration'] = lambda s: str(
        Value(math.nan if s is None else s, style='seconds')
    )
    environment.tests['value'] = lambda cell: isinstance(cell, Value)
    script, _, _ = loader.get_source(environment, 'report.js')
    digest = hashlib.sha256(script.encode()).digest()
    environment.globals['script'] = Markup(script)
    environment.globals['script_hash'] = f'sha256-{base64.b64encode(digest).decode()}'
    return environment


def _page(report: Report, tables: Mapping[str, Table]) -> str:
    """Fill the template."""
    first = report.models[0].runs[0].metrics
    fields, errors = _galleries(report)
    colors = class_palette(len(first.classes))
    # a teacher differs in everything; it is of interest what the others have in common
    compared = [m for m in report.models if m.name != report.teacher] or list(report.models)
    return (
        page_environment()
        .get_template('report.html')
        .render(
            report=report,
            tables=tables,
            swatches={n: hex_color(c) for n, c in zip(first.classes, colors, strict=True)},
            figures=_figures(report.models),
            confusions=[_confusion(model) for model in report.models],
            confusion_note=_CONFUSION_NOTE,
            fields=fields,
            errors=errors,
            run_name=_run_name,
            compared=compared,
            differences=_differences(compared),
            facts={**report.facts, **_run_facts(report.models)},
            commands=[*report.commands, *_run_commands(report.models)],
        )
    )


def _figures(models: Sequence[ModelResult]) -> dict[str, str]:
    """Draw the figures; empty where there is nothing to draw."""
    logs = {_run_name(model, run): run.log for model in models for run in model.runs if run.log}
    figures = {
        'precision_recall': plot_precision_recall(models),
        'froc': plot_froc(models),
        'calibration': plot_calibration(models),
        'roc': plot_roc(models),
        'cost': plot_cost(models),
        'training': plot_training_curves(logs),
    }
    return {k: data_uri(v.encode(), 'image/svg+xml') if v else '' for k, v in figures.items()}


def _galleries(report: Report) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Lay out the pictures: whole fields, and errors by model; none without a folder of images."""
    if report.image_dir is None:
        return [], {}
    folder = Path(report.image_dir)
    fields = field_gallery(report.truth, folder, report.models, report.num_fields)
    if not report.num_errors:
        return fields, {}
    errors = {
        model.name: error_gallery(report.truth, folder, model.runs[0].metrics, report.num_errors)
        for model in report.models
    }
    return fields, errors


def _run_name(model: ModelResult, run: Run) -> str:
    """Name one run of a model."""
    if len(model.runs) == 1:
        return model.name
    seed = run.seed if run.seed is not None else list(model.runs).index(run)
    return f'{model.name}, seed {seed}'


def _confusion(model: ModelResult) -> dict[str, Any]:
    """Lay out a confusion matrix, summed over the runs."""
    counts = np.sum([run.metrics.confusion for run in model.runs], axis=0)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [*model.runs[0].metrics.classes, 'background']
    rows = []
    for i, name in enumerate(names):
        cells = [
            # nothing can be missed where there is nothing
            {
                'count': '' if i == j == len(names) - 1 else int(counts[i, j]),
                'share': float(shares[i, j]),
                'right': i == j < len(names) - 1,
            }
            for j in range(len(names))
        ]
        rows.append({'name': name, 'cells': cells})
    scores = [Value(run.metrics.errors.score_thr, style='score').text for run in model.runs]
    return {
        'name': model.name,
        'columns': [*names[:-1], 'missed'],
        'rows': rows,
        'score': ', '.join(scores),
    }


def _confusion_table(model: ModelResult) -> Table:
    """The same as a plain table."""
    layout = _confusion(model)
    rows = [
        [row['name'], *(Value(float(cell['count'] or 0), style='count') for cell in row['cells'])]
        for row in layout['rows']
    ]
    columns = [f'truth \\ {model.name}', *layout['columns']]
    return Table('', f'Confusion of {model.name}', columns, rows)


def _run_facts(models: Sequence[ModelResult]) -> dict[str, dict[str, str]]:
    """Environment of the trainings: told once where it is the same in all."""
    facts: dict[str, dict[str, str]] = {}
    known = [(m, r) for m in models for r in m.runs if r.facts]
    if not known:
        return {}
    if all(run.facts == known[0][1].facts for _, run in known):
        return {'Environment of the trainings': dict(known[0][1].facts)}
    for model, run in known:
        facts[f'Environment of {_run_name(model, run)}'] = dict(run.facts)
    return facts


def _run_commands(models: Sequence[ModelResult]) -> list[str]:
    """Commands of all runs."""
    return [line for model in models for run in model.runs for line in run.commands]


def _differences(models: Sequence[ModelResult]) -> list[tuple[str, list[str]]]:
    """List the settings in which the models' configs differ.

    Of a part that one model has and another sets to None, only the type is listed.
    """
    flat = [dict(_flatten(_parse(model.runs[0].config))) for model in models]
    if len(models) < 2 or not all(flat):
        return []
    absent = {key for settings in flat for key, value in settings.items() if value == 'None'}
    rows = []
    for key in sorted(set().union(*flat)):
        values = [settings.get(key, '\N{EN DASH}') for settings in flat]
        parents = ['.'.join(key.split('.')[:n]) for n in range(1, key.count('.') + 1)]
        inside = [parent for parent in parents if parent in absent]
        detail = bool(inside) and key != f'{inside[0]}.type'
        if len(set(values)) > 1 and not detail and key.split('.')[0] not in _NOT_SETTINGS:
            rows.append((key, values))
    return rows


def _parse(config: str) -> dict[str, Any]:
    """Read the settings of a config as mmengine dumps it; nothing is run."""
    try:
        tree = ast.parse(config)
    except SyntaxError:
        return {}
    settings = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            settings[node.targets[0].id] = _literal(node.value)
    return settings


def _literal(node: ast.expr) -> Any:
    """Evaluate ``dict(...)`` calls and literals; anything else stays text."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return {k.arg: _literal(k.value) for k in node.keywords if k.arg is not None}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(element) for element in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _flatten(value: Any, key: str = '') -> Iterator[tuple[str, str]]:
    """Yield the settings of a config by their dotted names."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flatten(part, f'{key}.{name}' if key else str(name))
    else:
        yield key, str(value)
