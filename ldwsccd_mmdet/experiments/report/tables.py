"""The tables of a report, as numbers first: for the page, for CSV and for Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...csv_table import csv_text
from ...evaluation import DetectionMetrics, Detections
from ...evaluation.functional import KINDS, interval
from .costs import Cost

__all__ = [
    'ModelResult',
    'Run',
    'Table',
    'Value',
    'make_tables',
    'markdown_text',
    'to_csv',
    'to_markdown',
]

#: What a model costs, and the name of its column.
_COSTS = {'parameters': 'Parameters, M', 'gflops': 'GFLOPs', 'latency': 'Latency, ms'}
_NONE = '\N{EN DASH}'
Measure = Callable[[DetectionMetrics], float]
Samples = Callable[[DetectionMetrics], np.ndarray]


@dataclass(frozen=True)
class Run:
    """One training of a model, as tested.

    Attributes:
        metrics: What was measured.
        predictions: Its detections, by image id.
        seed: Seed of the training, if known.
        log: The logged training steps, as of :func:`read_training_log`.
        config: The text of its config.
        seconds: Training time in seconds, if known.
        facts: Environment of the training: names and values.
        commands: Commands that train and test it again.
    """

    metrics: DetectionMetrics
    predictions: dict[int, Detections]
    seed: int | None = None
    log: Sequence[dict[str, Any]] = ()
    config: str = ''
    seconds: float | None = None
    facts: dict[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class ModelResult:
    """A model, trained once or with several seeds.

    Attributes:
        name: Name shown on the page.
        role: What it is, in a few words, such as ``teacher``.
        runs: Its trainings, all tested on the same images.
        cost: Parameters, operations and latency, if known.
    """

    name: str
    role: str
    runs: Sequence[Run]
    cost: Cost | None = None


@dataclass(frozen=True)
class Value:
    """A number of a table.

    Attributes:
        mean: The value; the mean over the seeds. NaN: nothing to measure.
        spread: Standard deviation over the seeds (of a sample); NaN with one seed.
        low: Lower end of the 95 % interval over images; NaN without one.
        high: Upper end.
        style: ``'percent'``, ``'gain'`` (points, with sign), ``'score'``, ``'count'``,
            ``'seconds'`` or ``'number'``.
    """

    mean: float
    spread: float = math.nan
    low: float = math.nan
    high: float = math.nan
    style: str = 'percent'

    def number(self, value: float) -> str:
        """Write one number in the value's style; a dash for NaN."""
        if math.isnan(value):
            return _NONE
        if self.style == 'seconds':
            minutes, rest = divmod(round(value), 60)
            return f'{minutes} min {rest:02d} s' if minutes else f'{rest} s'
        if self.style == 'count':
            return f'{value:.0f}' if value == round(value) else f'{value:.1f}'
        if self.style == 'score':
            return f'{value:.2f}'
        if self.style == 'number':
            return f'{value:.1f}' if value >= 10 else f'{value:.2f}'
        value = round(100 * value, 1) + 0.0  # + 0.0 makes -0.0 a plain 0.0
        return f'{value:+.1f}' if self.style == 'gain' else f'{value:.1f}'

    @property
    def text(self) -> str:
        """The mean, with the spread over seeds if there is one."""
        text = self.number(self.mean)
        if not math.isnan(self.spread):
            text += f' ± {self.number(self.spread).lstrip("+")}'
        return text

    @property
    def range(self) -> str:
        """The interval over images, or nothing."""
        if math.isnan(self.low):
            return ''
        return f'{self.number(self.low)} to {self.number(self.high)}'

    def __str__(self) -> str:
        return f'{self.text} ({self.range})' if self.range else self.text


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        key: Short name, for the file and the place on the page.
        title: Heading.
        columns: Names of the columns; the first one names the rows.
        rows: Cells, text or :class:`Value`.
        note: What the numbers are.
        best: ``'row'`` or ``'column'`` if the highest percentage of each is to be marked, or
            nothing.
    """

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Value]]
    note: str = ''
    best: str = ''

    def is_best(self, row: int, column: int) -> bool:
        """Tell whether a cell has the highest percentage of its row or column."""
        cell = self.rows[row][column]
        if not self.best or not isinstance(cell, Value) or cell.style != 'percent':
            return False
        line = self.rows[row] if self.best == 'row' else [r[column] for r in self.rows]
        values = [c.mean for c in line if isinstance(c, Value) and c.style == 'percent']
        known = [round(value, 6) for value in values if not math.isnan(value)]
        # nothing is best where all are equal
        return len(set(known)) > 1 and round(cell.mean, 6) == max(known)


def to_csv(table: Table) -> str:
    """Write a table as CSV: fractions as they are, spread and interval in columns of their own."""
    extras = []
    for column in range(len(table.columns)):
        cells = [row[column] for row in table.rows]
        extras.append(
            [
                key
                for key in ('spread', 'low', 'high')
                if any(isinstance(c, Value) and not math.isnan(getattr(c, key)) for c in cells)
            ]
        )
    header: list[str] = []
    for name, more in zip(table.columns, extras, strict=True):
        header += [name, *(f'{name} {key}' for key in more)]
    lines = [header]
    for row in table.rows:
        line: list[str] = []
        for cell, more in zip(row, extras, strict=True):
            if isinstance(cell, Value):
                numbers = [cell.mean, *(getattr(cell, key) for key in more)]
                line += ['' if math.isnan(n) else f'{n:.6g}' for n in numbers]
            else:
                line += [cell, *[''] * len(more)]
        lines.append(line)
    return csv_text(lines)


def to_markdown(table: Table) -> str:
    """Write a table as Markdown, in percent as on the page."""
    lines = [f'## {markdown_text(table.title)}', '']
    lines.append('| ' + ' | '.join(map(markdown_text, table.columns)) + ' |')
    cells = table.rows[0] if table.rows else table.columns
    marks = ['---:' if isinstance(cell, Value) else '---' for cell in cells]
    lines.append('|' + '|'.join(marks) + '|')
    for row in table.rows:
        lines.append('| ' + ' | '.join(markdown_text(str(c)) for c in row) + ' |')
    return '\n'.join([*lines, '', *([table.note, ''] if table.note else [])])


def markdown_text(text: str) -> str:
    """Write text so that Markdown shows it as it is, on one line, and runs no HTML."""
    plain = ' '.join(text.split())
    # a lone & is text to Markdown; before a name and a semicolon it is a character's
    plain = re.sub(r'&(?=#?\w+;)', '&amp;', plain).replace('<', '&lt;').replace('>', '&gt;')
    # a low line within a word is none of Markdown's
    return re.sub(r'([\\`*{}\[\]|~]|(?<!\w)_|_(?!\w))', r'\\\1', plain)


def make_tables(
    models: Sequence[ModelResult], baseline: str | None = None, teacher: str | None = None
) -> dict[str, Table]:
    """Make all tables of a report.

    Args:
        models: The models, tested on the same images.
        baseline: Name of the model that gains are counted from, or None.
        teacher: Name of the teacher, or None.

    Returns:
        The tables by their key: ``models``, ``operating``, ``classes``, ``sizes``, ``overlap``,
        ``images``, ``image-classes``, ``errors``, ``teacher`` (if there is one), and ``classes-1``
        and so on for each model.
    """
    by_name = {model.name: model for model in models}
    base = by_name[baseline] if baseline is not None else None
    tables = [
        _summary(models, base),
        _operating(models),
        _classes(models),
        _sizes(models),
        _overlap(models),
        _images(models),
        _image_classes(models),
        _errors(models),
    ]
    if teacher is not None:
        tables.append(_against_teacher(models, by_name[teacher]))
    tables += [_one_model(model, i) for i, model in enumerate(models, start=1)]
    return {table.key: table for table in tables}


def _over_runs(
    model: ModelResult,
    measure: Measure,
    samples: Samples | None = None,
    style: str = 'percent',
) -> Value:
    """Measure every run: mean and spread; the interval is that of the mean of the runs."""
    values = np.array([measure(run.metrics) for run in model.runs], float)
    low = high = math.nan
    if samples is not None and all(run.metrics.bootstrap is not None for run in model.runs):
        # the runs are resampled alike: the same images in each sample
        low, high = interval(np.mean([samples(run.metrics) for run in model.runs], axis=0))
    return _value(values, low, high, style)


def _value(values: np.ndarray, low: float, high: float, style: str) -> Value:
    """Take mean and spread of what is known."""
    known = values[~np.isnan(values)]
    if not known.size:
        return Value(math.nan, style=style)
    spread = float(known.std(ddof=1)) if known.size > 1 else math.nan
    return Value(float(known.mean()), spread, low, high, style)


def _at(name: str, *place: int) -> Measure:
    """Read one entry of an array of the metrics."""
    return lambda m: float(getattr(m, name)[place])


def _mean_at(name: str, row: int) -> Measure:
    """Mean over the classes of one row of an array of the metrics."""
    return lambda m: m.mean(getattr(m, name)[row])


def _samples(name: str, column: int) -> Samples:
    """Read bootstrap samples."""
    return lambda m: getattr(m.bootstrap, name)[:, column]


def _pooled(key: str) -> Measure:
    """Read a value of the operating point of all classes."""
    return lambda m: getattr(m.pooled, key)


def _point(label: int, key: str) -> Measure:
    """Read a value of the operating point of a class."""
    return lambda m: getattr(m.points[label], key)


def _mean_point(key: str) -> Measure:
    """Mean over the classes of a value of their operating points."""
    return lambda m: m.mean([getattr(point, key) for point in m.points])


def _count(kind: str) -> Measure:
    """Count errors of a kind."""
    return lambda m: float(m.errors.count(kind))


def _boot_map(metrics: DetectionMetrics) -> np.ndarray:
    assert metrics.bootstrap is not None
    return metrics.bootstrap.mean_ap


def _gain(model: ModelResult, base: ModelResult) -> Value:
    """Difference in mAP; seeds and bootstrap samples are paired where they can be."""
    if model is base:
        return Value(math.nan, style='gain')
    mine, others = (
        {i if run.seed is None else run.seed: run.metrics.mean_ap for i, run in enumerate(m.runs)}
        for m in (model, base)
    )
    if mine.keys() == others.keys():
        values = np.array([mine[seed] - others[seed] for seed in mine])
    else:
        values = np.array([np.mean([*mine.values()]) - np.mean([*others.values()])])
    low = high = math.nan
    runs = [*model.runs, *base.runs]
    if all(run.metrics.bootstrap is not None for run in runs):
        sides = [np.mean([_boot_map(run.metrics) for run in m.runs], axis=0) for m in (model, base)]
        low, high = interval(sides[0] - sides[1])
    return _value(values, low, high, 'gain')


def _summary(models: Sequence[ModelResult], base: ModelResult | None) -> Table:
    """Tables 3 and 4 of the paper: models side by side."""
    first = models[0].runs[0].metrics
    name = f'mAP@{round(100 * first.matches.iou_thr)}'
    columns = ['Model', 'What it is', 'Seeds', f'{name}, %']
    if base is not None:
        columns.append(f'Gain over {base.name}')
    columns += ['AP75, %', 'COCO mAP, %', 'Training']
    costs = [
        key
        for key in _COSTS
        if any(not math.isnan(getattr(model.cost or Cost(), key)) for model in models)
    ]
    columns += [_COSTS[key] for key in costs]
    rows = []
    for model in models:
        row: list[str | Value] = [model.name, model.role, _seeds(model)]
        row.append(_over_runs(model, lambda m: m.mean_ap, _boot_map))
        if base is not None:
            row.append(_gain(model, base))
        row.append(_over_runs(model, lambda m: m.mean(m.ap75)))
        row.append(_over_runs(model, lambda m: m.mean(m.coco_ap)))
        times = [run.seconds for run in model.runs if run.seconds is not None]
        row.append(Value(float(np.mean(times)) if times else math.nan, style='seconds'))
        row += [Value(getattr(model.cost or Cost(), key), style='number') for key in costs]
        rows.append(row)
    rule = '101 recall points' if first.ap_mode == 'coco' else "VOC's exact area"
    several = any(len(model.runs) > 1 for model in models)
    note = (
        f'{name}: average precision at IoU {first.matches.iou_thr:g} ({rule}), mean over the '
        f'classes that occur in the {len(first.matches.image_ids)} test images.'
    )
    if first.bootstrap is not None:
        note += (
            ' In small print: 95 % interval over test images (bootstrap, '
            f'{len(first.bootstrap.ap)} samples; of a gain, paired). It does not hold what another '
            'training would change.'
        )
    note += (
        ' ± is the standard deviation over the seeds.'
        if several
        else ' One training each: another seed may change a value by a few points.'
    )
    return Table('models', 'Models side by side', columns, rows, note, 'column')


def _seeds(model: ModelResult) -> str:
    """List the seeds of a model."""
    seeds = [str(run.seed) for run in model.runs if run.seed is not None]
    unknown = len(model.runs) - len(seeds)
    if unknown:
        seeds.append(f'{unknown} run{"s" * (unknown > 1)} of unknown seed')
    return ', '.join(seeds)


def _operating(models: Sequence[ModelResult]) -> Table:
    """What a user of the detector would see."""
    first = models[0].runs[0].metrics
    rates = [f'{rate:g}' for rate in first.rates]
    columns = [
        'Model',
        'At score',
        'Precision, %',
        'Recall, %',
        'F1, %',
        'Mean IoU, %',
        *(f'Sensitivity at {rate} FP, %' for rate in rates),
        'CorLoc, %',
        'Calibration error, %',
    ]
    rows = []
    for model in models:
        row: list[str | Value] = [model.name]
        row.append(_over_runs(model, lambda m: m.pooled.score, style='score'))
        for key in ('precision', 'recall', 'f1', 'mean_iou'):
            row.append(_over_runs(model, _pooled(key)))
        for i in range(len(rates)):
            row.append(_over_runs(model, _at('pooled_sensitivity', i), _samples('sensitivity', i)))
        row.append(_over_runs(model, lambda m: m.mean(m.corloc)))
        error = _over_runs(model, lambda m: m.calibration.error)
        row.append(Value(error.mean, error.spread))
        rows.append(row)
    note = (
        'All classes in one list; a detection is right if its class is. Precision, recall, F1 and '
        'mean IoU are at one score for all classes, the one with the highest F1 on these very '
        'images unless a score was given. Sensitivity: part of the cells found at 1, 4, ... false '
        'positives (FP) an image. CorLoc: part of the images with a class whose best detection of '
        'it is right. Calibration error: distance between score and precision; low is good.'
    )
    return Table('operating', 'At work: operating point and screening', columns, rows, note)


def _classes(models: Sequence[ModelResult]) -> Table:
    """AP of each class, models side by side."""
    first = models[0].runs[0].metrics
    columns = ['Class', 'Truths', *(f'{model.name}, %' for model in models)]
    rows: list[list[str | Value]] = []
    for i, name in enumerate(first.classes):
        row: list[str | Value] = [name, Value(float(first.num_truths[i]), style='count')]
        row += [_over_runs(model, _at('ap', i), _samples('ap', i)) for model in models]
        rows.append(row)
    mean: list[str | Value] = ['mean', Value(float(first.num_truths.sum()), style='count')]
    mean += [_over_runs(model, lambda m: m.mean_ap, _boot_map) for model in models]
    note = (
        'Average precision of each class. Bold: the best of the row. A dash: no truth of the class '
        'in the test images. A class with few truths has a wide interval: read it first.'
    )
    title = f'AP{round(100 * first.matches.iou_thr)} per class'
    return Table('classes', title, columns, [*rows, mean], note, 'row')


def _one_model(model: ModelResult, number: int) -> Table:
    """Table 2 of the paper: one model, class by class."""
    first = model.runs[0].metrics
    columns = [
        'Class',
        'Truths',
        'AP, %',
        'Precision, %',
        'Recall, %',
        'F1, %',
        'At score',
        'Mean IoU, %',
        *(f'Sens. at {rate:g} FP, %' for rate in first.rates),
        'CorLoc, %',
    ]
    rows: list[list[str | Value]] = []
    for i, name in enumerate(first.classes):
        row: list[str | Value] = [name, Value(float(first.num_truths[i]), style='count')]
        row.append(_over_runs(model, _at('ap', i), _samples('ap', i)))
        for key in ('precision', 'recall', 'f1', 'score', 'mean_iou'):
            style = 'score' if key == 'score' else 'percent'
            row.append(_over_runs(model, _point(i, key), style=style))
        for rate in range(len(first.rates)):
            row.append(_over_runs(model, _at('sensitivity', rate, i)))
        row.append(_over_runs(model, _at('corloc', i)))
        rows.append(row)
    mean: list[str | Value] = ['mean', Value(float(first.num_truths.sum()), style='count')]
    mean.append(_over_runs(model, lambda m: m.mean_ap, _boot_map))
    for key in ('precision', 'recall', 'f1', 'score', 'mean_iou'):
        if key == 'score':
            mean.append(Value(math.nan, style='score'))
            continue
        mean.append(_over_runs(model, _mean_point(key)))
    for rate in range(len(first.rates)):
        mean.append(_over_runs(model, _mean_at('sensitivity', rate)))
    mean.append(_over_runs(model, lambda m: m.mean(m.corloc)))
    note = (
        'Each class by itself, at the score where its F1 is highest on these images (or at the '
        'given score). False positives (FP) an image are those of the class.'
    )
    return Table(f'classes-{number}', f'{model.name}, class by class', columns, [*rows, mean], note)


def _sizes(models: Sequence[ModelResult]) -> Table:
    """AP by the size of the box."""
    first = models[0].runs[0].metrics
    rows: list[list[str | Value]] = []
    for i, size in enumerate(('small', 'medium', 'large')):
        truths = float(first.matches.size_truths[i].sum())
        row: list[str | Value] = [size, Value(truths, style='count')]
        row += [_over_runs(model, _mean_at('size_ap', i)) for model in models]
        rows.append(row)
    note = (
        "COCO's AP at the chosen IoU, of boxes whose area lies below 32 x 32 px, up to 96 x 96 px, "
        'and above (px of the image file, unless other bounds were given). A box on '
        'a bound counts on both sides. A dash: no such box.'
    )
    title = f'AP{round(100 * first.matches.iou_thr)} by size of the box'
    columns = ['Size', 'Truths', *(f'{model.name}, %' for model in models)]
    return Table('sizes', title, columns, rows, note, 'row')


def _overlap(models: Sequence[ModelResult]) -> Table:
    """Overlapping cells against separate ones."""
    first = models[0].runs[0].metrics
    rows: list[list[str | Value]] = []
    for word in ('AP', 'recall'):
        for i, cells in enumerate(('overlapping', 'separate')):
            truths = float(first.overlap.num_truths[i].sum())
            row: list[str | Value] = [f'{word}, {cells}', Value(truths, style='count')]
            for model in models:
                if word == 'AP':
                    row.append(_over_runs(model, _overlap_ap(i), _overlap_samples(i)))
                else:
                    row.append(_over_runs(model, _overlap_recall(i)))
            rows.append(row)
    note = (
        'A cell overlaps if another one, of whatever class, covers a tenth of its box or more. AP: '
        'mean over the classes, each group by itself; false positives count in both. Recall: of '
        'all classes, at the operating point. A dash: no such cell.'
    )
    columns = ['Cells', 'Truths', *(f'{model.name}, %' for model in models)]
    return Table('overlap', 'Overlapping cells and separate ones', columns, rows, note, 'row')


def _overlap_ap(group: int) -> Measure:
    """Read the mean AP of a group of cells."""
    return lambda m: float(m.overlap.mean_ap[0, group])


def _overlap_samples(group: int) -> Samples:
    """Read its bootstrap samples."""
    return lambda m: m.overlap.mean_ap[1:, group]


def _overlap_recall(group: int) -> Measure:
    """Read the recall of a group of cells."""
    return lambda m: float(m.overlap.recall[group])


def _images(models: Sequence[ModelResult]) -> Table:
    """Whole images: eq. 1 and 2 of the paper."""
    level = models[0].runs[0].metrics.image_level
    names = ('precision', 'recall', 'specificity', 'auc')
    columns = ['Model', 'At score', 'Precision, %', 'Recall, %', 'Specificity, %', 'AUC, %']
    rows: list[list[str | Value]] = []
    for model in models:
        row: list[str | Value] = [model.name]
        row.append(_over_runs(model, lambda m: m.image_level.score_thr, style='score'))
        row += [_over_runs(model, _image_at(key, -1), _image_samples(key, -1)) for key in names]
        rows.append(row)
    present = level.present[:, -1]
    note = (
        f'{int(present.sum())} images have a target cell ({", ".join(level.targets)}), '
        f'{int((~present).sum())} have none. An image is called positive if its best detection of '
        'such a class has at least the score, wherever its box lies (eq. 1 and 2 of the paper). '
        'AUC: the chance that an image with a target cell has a higher score than one without. A '
        'dash: all images are of one kind; name the classes that matter with --targets.'
    )
    return Table('images', 'Whole images: is there a target cell?', columns, rows, note, 'column')


def _image_classes(models: Sequence[ModelResult]) -> Table:
    """AUC of whole images, class by class."""
    metrics = models[0].runs[0].metrics
    columns = ['Class', 'Images with it', 'Images without', *(f'{m.name}, %' for m in models)]
    rows: list[list[str | Value]] = []
    for i, name in enumerate(metrics.classes):
        number = int(metrics.image_level.present[:, i].sum())
        counts = (number, len(metrics.matches.image_ids) - number)
        row: list[str | Value] = [name, *(Value(float(n), style='count') for n in counts)]
        row += [_over_runs(m, _image_at('auc', i), _image_samples('auc', i)) for m in models]
        rows.append(row)
    note = (
        'Area under the ROC curve of the question whether the image has a cell of the class. 50 is '
        'a guess. A dash: all images have one, or none has.'
    )
    return Table('image-classes', 'AUC per class', columns, rows, note, 'row')


def _image_at(name: str, column: int) -> Measure:
    """Read a value of whole images."""
    return lambda m: float(getattr(m.image_level, name)[0, column])


def _image_samples(name: str, column: int) -> Samples:
    """Read its bootstrap samples."""
    return lambda m: getattr(m.image_level, name)[1:, column]


def _errors(models: Sequence[ModelResult]) -> Table:
    """How many errors of each kind."""
    rows: list[list[str | Value]] = []
    for model in models:
        row: list[str | Value] = [model.name]
        row.append(_over_runs(model, lambda m: m.errors.score_thr, style='score'))
        row += [_over_runs(model, _count(kind), style='count') for kind in KINDS]
        rows.append(row)
    note = (
        'Detections of at least the score of the operating point. Wrong class: on a cell of '
        'another class. Duplicate: on a cell that another detection has taken. Poor box: overlaps '
        'its cell, but less than the chosen IoU. Background: the rest. Missed: cells met by no '
        'detection.'
    )
    columns = ['Model', 'At score', *(kind.capitalize() for kind in KINDS)]
    return Table('errors', 'Errors by kind', columns, rows, note)


def _against_teacher(models: Sequence[ModelResult], teacher: ModelResult) -> Table:
    """Teacher against students, class by class."""
    students = [model for model in models if model is not teacher]
    columns = ['Class', f'{teacher.name}, %', *(f'{m.name} minus teacher' for m in students)]
    rows: list[list[str | Value]] = []

    def difference(model: ModelResult, measure: Measure) -> Value:
        mine, theirs = _over_runs(model, measure), _over_runs(teacher, measure)
        return Value(mine.mean - theirs.mean, style='gain')

    for i, name in enumerate(teacher.runs[0].metrics.classes):
        row: list[str | Value] = [name, _over_runs(teacher, _at('ap', i))]
        row += [difference(model, _at('ap', i)) for model in students]
        rows.append(row)
    mean: list[str | Value] = ['mean', _over_runs(teacher, lambda m: m.mean_ap)]
    mean += [difference(model, lambda m: m.mean_ap) for model in students]
    note = (
        'AP of the teacher, and the difference of each student in points. Below 0 the teacher is '
        'better: there it has something to teach.'
    )
    return Table('teacher', 'Teacher against student', columns, [*rows, mean], note)
