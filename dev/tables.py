"""Write the tables of README.md, docs/ and configs/*/README.md anew from results/*.csv.

    python dev/tables.py            # write them
    python dev/tables.py --check    # say which pages are out of date, exit code 1
    python dev/tables.py --list     # the names of the tables, and what each is made from

A page asks for a table by a comment, and what stands up to the next `<!-- end -->` is made here:

    <!-- table: half_the_boxes -->
    <!-- end -->

To add a table, add an entry to TABLES: a Listing takes rows and columns of a CSV as they are, a
function arranges them. What was never run has no row, and the table says "not run".
"""

import argparse
import csv
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))  # scripts, not a package
from stacks import STACKS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'results'
PAGES = ('README.md', 'docs/**/*.md', 'configs/**/README.md')
MARKED = re.compile(r'(^<!-- table: (\S+) -->\n)(.*?)(^<!-- end -->)', re.DOTALL | re.MULTILINE)
NOT_RUN = 'not run'

Row = dict[str, str]


def read(name: str) -> list[Row]:
    """Rows of results/NAME.csv; none where nothing was measured yet."""
    path = RESULTS / f'{name}.csv'
    if not path.is_file():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Arrange a table; the first column names the rows."""
    lines = ['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join(lines) + '\n'


def with_spread(mean: str, spread: str) -> str:
    """Write `mean ± spread`; the mean alone where there is no spread, a blank for nothing."""
    return f'{mean} ± {spread}' if mean and spread else mean


def one_decimal(value: str, sign: bool = False) -> str:
    return '' if value == '' else f'{float(value):{"+" if sign else ""}.1f}'


# ---------------------------------------------------------------- rows of a CSV as they are


@dataclass(frozen=True)
class Listing:
    """Some columns of a CSV, one line a row.

    Attributes:
        csv: Name of the file in results/, without its ending.
        columns: What each column shows, by its heading: a template such as '{AP50} %', or a
            function of the row.
        where: Only rows that have these values.
    """

    csv: str
    columns: dict[str, str | Callable[[Row], str]]
    where: dict[str, str] = field(default_factory=dict)

    def __call__(self) -> str:
        rows = [r for r in read(self.csv) if all(r[k] == v for k, v in self.where.items())]
        return markdown(list(self.columns), [self._line(row) for row in rows])

    def _line(self, row: Row) -> list[str]:
        return [c(row) if callable(c) else c.format_map(row) for c in self.columns.values()]


def spread(key: str, suffix: str = '_std', sign: bool = False) -> Callable[[Row], str]:
    """A column of means with the spread that stands in the column KEY + SUFFIX."""

    def cell(row: Row) -> str:
        return with_spread(one_decimal(row[key], sign), one_decimal(row[key + suffix]))

    return cell


def interval(key: str, low: str, high: str) -> Callable[[Row], str]:
    """A column of values with their 95 % interval; a blank for nothing."""
    return lambda row: f'{row[key]} ({row[low]} to {row[high]})' if row[key] else ''


def per_class(*names: str, suffix: str = '') -> dict[str, str | Callable[[Row], str]]:
    """A column for each class, with a spread where the CSV has one."""
    return {name: spread(name, suffix) if suffix else f'{{{name}}}' for name in names}


# ------------------------------------------------------------------ fewer boxes, same cells

DATA = {
    'bccd': 'BCCD, blood cells',
    'cric': 'CRIC, Pap smears',
    'composed': 'composed scenes, 11 classes',
    'synthetic': 'drawn smears, 11 classes',
}
MODELS = {
    'ssd': 'SSD',
    'ssd_all_negatives': 'SSD, all negatives',
    'ssd_ldm': 'SSD + LDM',
    'ssd_mil': 'SSD + MIL',
    'ldwsccd': 'LD-WSCCD',
    'teacher': 'teacher',
}
BCCD_CLASSES = ('Platelets', 'RBC', 'WBC')
BOXES_KEPT = {'1': 'all', '0.5': 'half', '0.2': 'a fifth'}
# what of the background taught the one who looked for cells, and the plain SSDs; the first is what
# is done now
SOFT = 'all, far 0.1'
NEGATIVES = (SOFT, 'all', 'beside', 'hard')
BESIDE = 'hard negatives beside the boxes'
EVERYWHERE = 'hard negatives everywhere'
# who looks for cells without a box, one after the other: the CSVs, the rounds, the negatives
WHO_LOOKS = {
    'teacher': ('half_the_boxes', 'mined_boxes', '1', SOFT),
    'teacher, student': ('half_the_boxes', 'mined_boxes', '2', SOFT),
    f'teacher, {BESIDE}': ('half_the_boxes', 'mined_boxes', '1', 'beside'),
    f'teacher, {EVERYWHERE}': ('half_the_boxes', 'mined_boxes', '1', 'hard'),
    f'teacher, second teacher, {EVERYWHERE}': (
        'half_the_boxes_second_teacher',
        'mined_boxes_second_teacher',
        '2',
        '',
    ),
    f'teacher, student, {EVERYWHERE}': ('half_the_boxes', 'mined_boxes', '2', 'hard'),
}
# whether red, green and blue keep their order in training images, as they do now, or change places
COLOURS = ('in order', 'changing places')
# whose scores stand in the table where a model was tested with several: the first that is there
SOURCES = ('auto', 'fused', 'mil', 'ssd')


def of_colours(name: str, colours: str = COLOURS[1]) -> list[Row]:
    """Rows of a CSV whose training images had such colours; by default as all had them once."""
    return [row for row in read(name) if row.get('colours', COLOURS[1]) == colours]


@dataclass(frozen=True)
class Experiment:
    """Trainings of one length on one data set, with a share of the boxes.

    Attributes:
        colours: Of COLOURS; '' for any.
        rounds: How many looked for cells without a box; '' for none or one.
    """

    data: str
    epochs: str
    kept: str
    colours: str = ''
    rounds: str = ''

    def shown(self) -> tuple[str, str]:
        """Colours and rounds of what stands here: LD-WSCCD of most seeds, of equals the newest."""
        rows = [
            row
            for row in read('half_the_boxes')
            if (row['data'], row['model'], row['epochs']) == (self.data, 'ldwsccd', self.epochs)
            and row['boxes_kept'] == self.kept
        ]
        seeds = {
            (colours, rounds): {
                row['seed'] for row in rows if (row['colours'], row['rounds']) == (colours, rounds)
            }
            for colours in ([self.colours] if self.colours else COLOURS)
            for rounds in ([self.rounds] if self.rounds else ('0', '1'))
        }
        return max(seeds, key=lambda way: len(seeds[way]))

    def ap50(
        self,
        model: str,
        source: str = '',
        kept: str = '',
        file: str = 'half_the_boxes',
        negatives: str | None = None,
        distillation: str | None = None,
        column: str = 'AP50',
    ) -> dict[str, float]:
        """AP50 by seed, of all classes or one; of the configs' score source, or a given one.

        Of several ways to learn the background, and to learn from the teacher, it is those with
        most seeds; of equals the newest.
        """
        colours, rounds = self.shown()
        if model in PLAIN:
            rounds = '0'
        elif model == 'teacher':
            rounds = min(rounds, '1')
        rows = of_colours(file, colours)
        of_model = [row for row in rows if (row['data'], row['model']) == (self.data, model)]
        epochs = self.epochs
        if model == 'teacher' and all(row['epochs'] != epochs for row in of_model):
            # that of drawn smears is trained longer than its students
            epochs = max((row['epochs'] for row in of_model), key=int, default='')
        rows = [
            row
            for row in of_model
            if row['epochs'] == epochs
            and float(row['boxes_kept']) == float(kept or self.kept)
            and row['rounds'] == rounds
        ]
        if negatives is None:
            seeds: dict[str, set[str]] = {}
            for row in rows:
                seeds.setdefault(row.get('negatives', ''), set()).add(row['seed'])
            # the SSD is that of the paper
            order = ('hard',) if model == 'ssd' else NEGATIVES
            there = [name for name in order if name in seeds]
            negatives = max(there, key=lambda name: len(seeds[name]), default='')
        rows = [row for row in rows if row.get('negatives', '') == negatives]
        if distillation is None:
            taught: dict[str, set[str]] = {}
            for row in reversed(rows):  # new rows are last
                taught.setdefault(row.get('distillation', ''), set()).add(row['seed'])
            distillation = max(taught, key=lambda name: len(taught[name]), default='')
        rows = [row for row in rows if row.get('distillation', '') == distillation]
        known = {row['score_source'] for row in rows}
        wanted = source or next((name for name in SOURCES if name in known), '')
        return {row['seed']: float(row[column]) for row in rows if row['score_source'] == wanted}

    def marks(self) -> str:
        """Of LD-WSCCD: ¹ it learned hard negatives, ² other colours, ³ nobody looked for cells."""
        ours, (colours, rounds) = self.ap50('ldwsccd'), self.shown()
        if not ours:
            return ''
        marks = '¹' if rounds == '1' and ours != self.ap50('ldwsccd', negatives=SOFT) else ''
        marks += '' if colours == COLOURS[0] else '²'
        marks += '³' if rounds == '0' else ''
        return f' {marks}' if marks else ''


def mean_and_spread(values: Iterable[float], sign: bool = False) -> str:
    """Write `mean ± standard deviation` over seeds; say so where there are fewer than three."""
    values = list(values)
    if not values:
        return NOT_RUN
    mean = f'{statistics.fmean(values):{"+" if sign else ""}.1f}'
    if len(values) == 1:
        return f'{mean} (one seed)'
    few = '' if len(values) > 2 else ' (two seeds)'
    return f'{mean} ± {statistics.stdev(values):.1f}{few}'


def difference(values: dict[str, float], baseline: dict[str, float]) -> str:
    """Mean and spread of the differences, seed by seed."""
    return mean_and_spread([values[s] - baseline[s] for s in values if s in baseline], sign=True)


def half_the_boxes_lines(cells: Callable[[Experiment], list[str]]) -> Iterator[list[str]]:
    """A line for each share of the boxes of each data set; one alone where nothing was run."""
    lengths: dict[str, list[str]] = {}
    for row in read('half_the_boxes'):
        known = lengths.setdefault(row['data'], [])
        if row['model'] != 'teacher' and row['epochs'] not in known:
            known.append(row['epochs'])
    for data, label in DATA.items():
        if data not in lengths:
            yield [label, 'any', *(NOT_RUN for _ in cells(Experiment(data, '', '1')))]
        for epochs in sorted(lengths.get(data, ()), key=int):
            name = f'{label}, {epochs} epochs'
            for kept, share in BOXES_KEPT.items():
                yield [name, share, *cells(Experiment(data, epochs, kept))]
                name = ''


PLAIN = ('ssd', 'ssd_all_negatives')


def half_the_boxes() -> str:
    """What the method gives where boxes are missing."""

    def cells(of: Experiment) -> list[str]:
        ours, every_box = of.ap50('ldwsccd'), of.ap50('ssd', kept='1')
        plain = [of.ap50(model) for model in PLAIN]
        means = [mean_and_spread(values.values()) for values in plain]
        gains = [difference(ours, values) for values in (*plain, every_box)]
        return [*means, mean_and_spread(ours.values()) + of.marks(), *gains]

    plain = [MODELS[model] for model in PLAIN]
    header = ['data', 'boxes kept', *plain, 'LD-WSCCD']
    gains = [*(f'gain over {name}' for name in plain), 'against SSD on all boxes']
    return markdown([*header, *gains], half_the_boxes_lines(cells))


def fewer_boxes() -> str:
    """What was run of it, with the plain SSD on all boxes beside: the table that opens README."""

    def cells(of: Experiment) -> list[str]:
        ours, every_box = of.ap50('ldwsccd'), of.ap50('ssd', kept='1')
        means = [mean_and_spread(of.ap50(model).values()) for model in PLAIN]
        means.append(mean_and_spread(ours.values()) + of.marks())
        gain = difference(ours, of.ap50('ssd'))
        return [*means, gain, mean_and_spread(every_box.values())]

    name = ''
    shown = []
    for line in half_the_boxes_lines(cells):
        name = line[0] or name
        if line[4] != NOT_RUN:
            shown.append([name, *line[1:]])
    if not shown:
        shown = [['any', 'any', *[NOT_RUN] * 5]]
    plain = [MODELS[model] for model in PLAIN]
    header = ['data', 'boxes kept', *plain, 'LD-WSCCD', 'gain over SSD', 'SSD on all boxes']
    return markdown(header, shown)


def half_the_boxes_by_model() -> str:
    """Every row of Table 4, and the teacher."""

    def cells(of: Experiment) -> list[str]:
        return [mean_and_spread(of.ap50(model).values()) for model in MODELS]

    return markdown(['data', 'boxes kept', *MODELS.values()], half_the_boxes_lines(cells))


def half_the_boxes_by_source() -> str:
    """LD-WSCCD by the head, or heads, that score its boxes."""
    known = {row['score_source'] for row in read('half_the_boxes') if row['model'] == 'ldwsccd'}
    sources = [source for source in reversed(SOURCES) if source in known] or [*reversed(SOURCES)]

    def cells(of: Experiment) -> list[str]:
        return [mean_and_spread(of.ap50('ldwsccd', source).values()) for source in sources]

    header = ['data', 'boxes kept', *(f"`'{source}'`" for source in sources)]
    return markdown(header, half_the_boxes_lines(cells))


def half_the_boxes_by_class(data: str) -> Callable[[], str]:
    """AP50 of each class with all boxes of a data set: Table 2 of the paper."""
    models = ('ssd', 'ldwsccd', 'teacher')

    def table() -> str:
        rows = [row for row in read('half_the_boxes') if row['data'] == data]
        epochs = max((row['epochs'] for row in rows), key=int, default='')
        of = Experiment(data, epochs, '1')
        other = {'data', 'boxes_kept', 'model', 'rounds', 'negatives', 'score_source', 'seed'}
        other |= {'distillation', 'colours', 'epochs', 'split'}
        names = {name: None for row in rows for name in row if row[name] and name not in other}
        lines = []
        for name in names:
            values = [of.ap50(model, column=name) for model in models]
            cells = [mean_and_spread(value.values()) for value in values]
            lines.append(['mean' if name == 'AP50' else name, *cells, difference(*values[1::-1])])
        header = ['class', *(MODELS[model] for model in models), 'gain over SSD']
        return markdown(header, lines or [['any', *[NOT_RUN] * 4]])

    return table


def half_the_boxes_by_round() -> str:
    """LD-WSCCD, by who looked for cells without a box before it was trained."""
    found = []
    for who, (file, _, rounds, negatives) in WHO_LOOKS.items():

        def cells(
            of: Experiment, rounds: str = rounds, file: str = file, negatives: str = negatives
        ) -> list[str]:
            of = replace(of, colours=COLOURS[1], rounds=rounds)
            ours = of.ap50('ldwsccd', file=file, negatives=negatives)
            return [mean_and_spread(ours.values())]

        name = ''
        for line in half_the_boxes_lines(cells):
            name = line[0] or name
            if line[2] != NOT_RUN:
                found.append([name, line[1], who, line[2]])
    return markdown(['data', 'boxes kept', 'who looks', 'LD-WSCCD'], found)


def what_teaches() -> str:
    """LD-WSCCD by what its teacher teaches, where several ways were tried."""
    tried: dict[tuple[str, ...], list[str]] = {}
    for row in read('half_the_boxes'):
        known = (row['rounds'], row['negatives']) in (('1', SOFT), ('0', 'hard'))
        if row['model'] == 'ldwsccd' and known:
            keys = ('data', 'epochs', 'boxes_kept', 'colours', 'rounds')
            ways = tried.setdefault(tuple(row[key] for key in keys), [])
            ways += [row['distillation']] if row['distillation'] not in ways else []
    lines = []
    for (data, epochs, kept, colours, rounds), ways in tried.items():
        of = Experiment(data, epochs, kept, colours, rounds)
        plain = of.ap50('ssd')
        for way in ways if len(ways) > 1 else ():
            by_source = [of.ap50('ldwsccd', name, distillation=way) for name in ('ssd', 'fused')]
            ours, seeds = by_source[-1], ', '.join(sorted(by_source[-1]))
            values = [mean_and_spread(value.values()) for value in by_source]
            name = [f'{DATA[data]}, {epochs} epochs', BOXES_KEPT[kept] + of.marks(), way, seeds]
            lines.append([*name, *values, difference(ours, plain)])
    header = ['data', 'boxes kept', 'what teaches', 'seeds', "`'ssd'`", "`'fused'`"]
    return markdown([*header, 'gain over SSD'], lines or [['any', *[NOT_RUN] * 6]])


def colours_in_order() -> str:
    """What each model has where training images keep the order of red, green and blue, or not."""
    new = read('half_the_boxes')
    runs = dict.fromkeys(
        (row['data'], row['epochs'], row['boxes_kept'])
        for row in new
        if (row['model'], row['rounds'], row['colours']) == ('ldwsccd', '1', COLOURS[0])
    )
    lines = []
    for data, epochs, kept in runs:
        order, places = (Experiment(data, epochs, kept, colours, '1') for colours in COLOURS)
        name = [f'{DATA[data]}, {epochs} epochs', BOXES_KEPT[kept]]
        for model in ('teacher', 'ssd', 'ldwsccd'):
            after, before = (of.ap50(model) for of in (order, places))
            both = {seed: after[seed] for seed in after if seed in before}
            gains = [difference(of.ap50(model), of.ap50('ssd')) for of in (places, order)]
            if model != 'ldwsccd':
                gains = ['', '']
            means = [mean_and_spread(values.values()) for values in (before, after)]
            lines.append([*name, MODELS[model], *means, difference(both, before), *gains])
            name = ['', '']
    header = ['data', 'boxes kept', 'model', *reversed(COLOURS), 'difference']
    gains = [f'gain over SSD, {colours}' for colours in reversed(COLOURS)]
    return markdown([*header, *gains], lines or [['any', *[NOT_RUN] * 7]])


def complete_labels() -> str:
    """Teacher and LD-WSCCD that take all boxes for all cells, against those that look for more."""
    runs = dict.fromkeys(
        (row['data'], row['epochs'], row['boxes_kept'], row['colours'])
        for row in read('half_the_boxes')
        if (row['model'], row['rounds']) == ('ldwsccd', '0')
    )
    lines = []
    for data, epochs, kept, colours in runs:
        looked, none = (Experiment(data, epochs, kept, colours, rounds) for rounds in '10')
        name = f'{DATA[data]}, {epochs} epochs'
        for model in ('teacher', 'ldwsccd'):
            before, after = (of.ap50(model) for of in (looked, none))
            means = [mean_and_spread(values.values()) for values in (before, after)]
            gain = difference(after, none.ap50('ssd')) if model == 'ldwsccd' else ''
            lines.append([name, MODELS[model], *means, difference(after, before), gain])
            name = ''
    header = ['data', 'model', 'looks for cells', 'takes labels as complete', 'difference']
    return markdown([*header, 'gain over SSD'], lines or [['any', *[NOT_RUN] * 5]])


def seeds_in_doubt() -> str:
    """What teaching the MIL head by the expected loss brought, seed by seed."""
    names = ('data', 'boxes_kept', 'rounds', 'score_source')
    lines: dict[tuple[str, ...], list[dict[str, float]]] = {}
    for column, file in enumerate(('half_the_boxes_seeds_of_weight_p', 'half_the_boxes')):
        for row in of_colours(file):
            if row['model'] == 'ldwsccd' and row.get('negatives', 'hard') == 'hard':
                key = tuple(row[name] for name in names)
                lines.setdefault(key, [{}, {}])[column][row['seed']] = float(row['AP50'])
    found = []
    for (data, kept, rounds, source), (before, after) in sorted(lines.items(), reverse=True):
        both = {seed: after[seed] for seed in after if seed in before}
        cells = [mean_and_spread(before[seed] for seed in both), mean_and_spread(both.values())]
        if both:
            name = [DATA[data], BOXES_KEPT[kept], rounds, f"`'{source}'`"]
            found.append([*name, *cells, difference(both, before)])
    header = ['data', 'boxes kept', 'rounds', 'scored by', 'weight p', 'expected loss', 'gain']
    return markdown(header, found)


def other_classes() -> str:
    """What it brought to let a box of any class account for a find: shares, and AP50."""
    shares: list[dict[tuple[str, ...], dict[str, float]]] = []
    for file in ('mined_boxes_own_class', 'mined_boxes'):
        found: dict[tuple[str, ...], dict[str, float]] = {}
        for row in of_colours(file):
            if (row['rounds'], row['negatives']) == ('1', SOFT):
                key = (row['data'], row['boxes_kept'], row['class'])
                found.setdefault(key, {})[row['seed']] = 100 * float(row['kept_share'])
        shares.append(found)
    lines = []
    for (data, kept, name), before in shares[0].items():
        after = shares[1].get((data, kept, name), {})
        both = [mean_and_spread(of[s] for s in before if s in after) for of in (before, after)]
        lines.append([DATA[data], BOXES_KEPT[kept], name, *both])
    header = ['data', 'boxes kept', 'class', 'share with a box, %: by its own class', 'by any']
    return markdown(header, lines or [['any', '', '', NOT_RUN, NOT_RUN]])


def other_classes_ap50() -> str:
    """LD-WSCCD with what was mined either way, by the head that scores."""
    lines = []
    for source in ('ssd', 'mil', 'fused'):
        found: dict[str, dict[str, float]] = {'own class': {}, 'any class': {}}
        for row in read('other_classes_cric'):
            if row['score_source'] == source:
                found[row['mined_by']][row['seed']] = float(row['AP50'])
        before, after = found.values()
        both = [mean_and_spread(of[s] for s in before if s in after) for of in (before, after)]
        lines.append([f"`'{source}'`", *both, difference(after, before)])
    return markdown(['scored by', 'mined by its own class', 'by any', 'gain'], lines)


def near_finds() -> str:
    """LD-WSCCD, scored by both heads, by what it learned beside finds that frame a cell badly."""
    shown = {
        'background': 'half_the_boxes',
        'nothing': 'near_finds_bccd',
        'doubt': 'near_finds_bccd',
    }
    names = {
        'background': 'background',
        'nothing': 'nothing',
        'doubt': 'background as far as the find is not loose',
    }
    lines = []
    for kept in ('0.5', '0.2'):
        for what, file in shown.items():
            for row in of_colours(file):
                if (
                    (row['data'], row['model'], row['boxes_kept']) == ('bccd', 'ldwsccd', kept)
                    and (row['rounds'], row['score_source'], row['seed']) == ('1', 'fused', '0')
                    and row.get('near', what) == what
                    and row.get('negatives', 'hard') == 'hard'
                ):
                    cells = [row[name] for name in ('AP50', *BCCD_CLASSES)]
                    lines.append([BOXES_KEPT[kept], names[what], *cells])
    header = ['boxes kept', 'beside a find is', 'AP50', *BCCD_CLASSES]
    return markdown(header, lines)


def student_far_weight() -> str:
    """LD-WSCCD by what background far from the boxes weighs to the student alone."""
    lines = []
    for row in read('student_far_weight_bccd'):
        keys = ('data', 'boxes_kept', 'model', 'rounds', 'negatives', 'score_source', 'seed')
        same = [r for r in of_colours('half_the_boxes') if all(r[key] == row[key] for key in keys)]
        name = [BOXES_KEPT[row['boxes_kept']], row['rounds'], f"`'{row['score_source']}'`"]
        lines += [[*name, r['AP50'], row['AP50']] for r in same]
    header = ['boxes kept', 'rounds', 'scored by', 'far background weighs 0.1', 'weighs 1']
    return markdown(header, lines)


def hard_negatives() -> str:
    """What teaches a detector of a fifth of BCCD's boxes best: hard negatives or all, by class."""
    everywhere = 'half_the_boxes_student_everywhere'
    shown = [
        ('teacher', 'hard', '', 'half_the_boxes', 'hard', 'ssd'),
        ('teacher', 'hard, beside the boxes', '', 'half_the_boxes', 'beside', 'ssd'),
        ('teacher', 'all', '', 'half_the_boxes', 'all', 'ssd'),
        ('teacher', SOFT, '', 'half_the_boxes', SOFT, 'ssd'),
        ('ssd', '', 'hard', 'half_the_boxes', 'hard', 'ssd'),
        ('ssd', '', 'hard, beside the boxes', 'half_the_boxes', 'beside', 'ssd'),
        ('ssd_all_negatives', '', 'all', 'half_the_boxes', 'all', 'ssd'),
        ('ssd_all_negatives', '', SOFT, 'half_the_boxes', SOFT, 'ssd'),
        ('ldwsccd', 'hard', 'hard', 'half_the_boxes', 'hard', 'fused'),
        ('ldwsccd', 'hard, beside the boxes', 'hard', everywhere, 'beside', 'fused'),
        ('ldwsccd', *2 * ['hard, beside the boxes'], 'half_the_boxes', 'beside', 'fused'),
        ('ldwsccd', 'all', 'all', 'half_the_boxes', 'all', 'fused'),
        ('ldwsccd', SOFT, SOFT, 'half_the_boxes', SOFT, 'fused'),
    ]
    lines = []
    for model, teacher, student, file, negatives, source in shown:
        rows = [
            row
            for row in of_colours(file)
            if (row['data'], row['boxes_kept'], row['model']) == ('bccd', '0.2', model)
            and (row['negatives'], row['score_source']) == (negatives, source)
            and row['rounds'] in ('0', '1')
        ]
        values = ([float(row[name]) for row in rows] for name in ('AP50', *BCCD_CLASSES))
        name = MODELS[model].removesuffix(', all negatives')
        lines.append([name, teacher, student, *map(mean_and_spread, values)])
    header = ['model', 'negatives of the teacher', 'of the model', 'AP50', *BCCD_CLASSES]
    return markdown(header, lines)


def hard_negative_scores() -> str:
    """Where scores settle that were learned from hard negatives, on a fifth of BCCD's boxes."""
    names = {'3': 'three hard ones', '9': 'nine hard ones', 'all': 'all of the background'}
    lines = [
        [names[row['name']], row['class'], row['AP50'], row['detections']]
        + [row[f'q{share}'] for share in (10, 50, 90, 100)]
        for row in read('hard_negative_scores_bccd')
    ]
    header = ['negatives for a positive', 'class', 'AP50', 'detections']
    return markdown([*header, '10 %', 'median', '90 %', 'highest'], lines)


def mined_boxes() -> str:
    """How good mined boxes are, where boxes were taken away: means over seeds, by class."""
    return _mined_boxes({name: who for name, who in WHO_LOOKS.items() if who[-1] == SOFT})


def mined_boxes_before() -> str:
    """The same, of those who looked before all of the background was learned."""
    return _mined_boxes({name: who for name, who in WHO_LOOKS.items() if who[-1] != SOFT})


def _mined_boxes(who_looks: dict[str, tuple[str, str, str, str]]) -> str:
    columns = ('kept_share', 'recall', 'precision', 'touching', 'framed')
    lines = []
    for who, (_, file, rounds, negatives) in who_looks.items():
        looked = who.split(', ')
        finder = ', '.join(looked[-2:] if looked[-1] in (BESIDE, EVERYWHERE) else looked[-1:])
        by_colours: dict[tuple[str, str], dict[str, list[Row]]] = {}
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in read(file):
            if (row['rounds'], row.get('negatives', '')) == (rounds, negatives):
                kept = (row['data'], row['boxes_kept'])
                both = by_colours.setdefault(kept, {name: [] for name in COLOURS})
                both[row.get('colours', COLOURS[1])].append(row)
        for kept, both in by_colours.items():
            # those with most seeds, as of AP50
            for row in max(both.values(), key=len):
                groups.setdefault((*kept, row['class']), []).append(row)
        for (data, share, name), rows in groups.items():
            taken = share != '1'  # where nothing was taken away, nothing can be found again
            means = [
                f'{100 * statistics.fmean(float(row[column] or "nan") for row in rows):.0f} %'
                if column == 'kept_share' or taken
                else ''
                for column in columns
            ]
            seeds = ', '.join(sorted(row['seed'] for row in rows))
            lines.append([DATA[data], BOXES_KEPT[share], finder, seeds, name, *means])
    header = [
        'data',
        'boxes kept',
        'found by',
        'seeds',
        'class',
        'estimated share of cells with box',
        'boxes taken away that were found',
        'finds that are such a box',
        'all finds: that touch one',
        'that overlap one by half',
    ]
    return markdown(header, lines)


def demo() -> str:
    """The models of `make demo`, over its seeds: the first table of each page, from its CSV."""
    models: dict[str, list[Row]] = {}
    for row in read('demo'):
        models.setdefault(row['Model'], []).append(row)
    rows = []
    for model, runs in models.items():
        ap = mean_and_spread(100 * float(run['mAP@50, %']) for run in runs)
        gains = [100 * float(run['Gain over SSD']) for run in runs if run['Gain over SSD']]
        seeds = ', '.join(run['Seeds'] for run in runs)
        gain = mean_and_spread(gains, sign=True) if gains else ''
        rows.append([model, seeds, ap, gain])
    header = ['model', 'seeds', 'AP50', 'gain over SSD']
    return markdown(header, rows or [['all', '', NOT_RUN, NOT_RUN]])


# ------------------------------------------------------------------------- arranged by hand


BASELINES = {
    'faster-rcnn_mobilenetv2-fpn': 'Faster R-CNN, MobileNetV2-FPN',
    'fast-rcnn_mobilenetv2-fpn': 'Fast R-CNN, MobileNetV2-FPN, blob regions',
    'retinanet_mobilenetv2-fpn': 'RetinaNet, MobileNetV2-FPN',
    'yolov3_mobilenetv2': 'YOLOv3, MobileNetV2',
    'yolov4-small': 'YOLOv4, width 1/4, depth 1/3',
    'yolox-nano': 'YOLOX-nano',
    'rtmdet-tiny': 'RTMDet-tiny',
    'centernet_mobilenetv2': 'CenterNet, MobileNetV2',
    'ssd256-narrow': 'SSD, VGG11 of a quarter of the width',
    'fssd256-narrow': 'FSSD, the same',
    'dssd256-narrow': 'DSSD, the same',
    'dssd256-narrow_float32': 'DSSD, the same, in float32',
    'dssd256-narrow_from-ssd': 'DSSD, from the trained SSD, in float32',
    'rssd256-narrow': 'RSSD, the same',
    'dsod256-narrow': 'DSOD, a third of the growth rate',
    'efficientdet_mobilenetv2': 'EfficientDet, MobileNetV2, two BiFPN cells',
    'efficientdet_mobilenetv2_momentum-0.01': 'EfficientDet, the same, norms of momentum 0.01',
    'yolov1-small': 'YOLOv1, small',
    'yolov2-small': 'YOLOv2, small',
    'ldwsccd_ssd256-narrow': 'LD-WSCCD, as printed, the same SSD',
    'teacher_mobilenetv2-fpn_bccd': 'its teacher: SSD head, MobileNetV2-FPN',
}


def bccd_baselines() -> str:
    """Detectors on blood cells, with their latency from the benchmarks."""
    network = {row['model']: row['latency_ms'] for row in read('speed_models_bccd')}
    prediction = {row['model']: row['prediction_ms'] for row in read('speed_prediction_bccd')}
    ap50 = interval('mAP@50', 'low', 'high')
    keys = ('Platelets', 'RBC', 'WBC', 'precision', 'recall')
    rows = []
    for row in read('baselines_bccd'):
        times = [of.get(row['model'], NOT_RUN) for of in (network, prediction)]
        rows.append([BASELINES[row['model']], ap50(row), *(row[key] for key in keys), *times])
    return markdown(['model', 'AP50', *keys, 'network, ms', 'prediction, ms'], rows)


def score_sources_cric() -> str:
    """CRIC, 40 epochs: seeds against score source."""
    ssd = next(r for r in read('ablation_cric_40_epochs') if r['model'] == 'LD-WSCCD')['mAP@50']
    mined = {
        row['score_source']: row['AP50']
        for row in read('regions_at_test_cric')
        if (row['seeds'], row['regions']) == ('mined', '300')
    }
    boxes = {row['model']: row['mAP@50'] for row in read('boxes_as_seeds_cric')}
    rows = [
        ['mined seeds alone, as eq. 16 prints it', ssd, mined['mil'], mined['fused']],
        ['boxes as seeds too', boxes['ssd'], boxes['mil'], boxes['fused']],
    ]
    return markdown(['seeds of the MIL head', "`'ssd'`", "`'mil'`", "`'fused'`"], rows)


def regions_at_test() -> str:
    """CRIC: AP50 by the number of regions that the MIL head scores."""
    counts = ('64', '100', '300')
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in read('regions_at_test_cric'):
        found.setdefault((row['seeds'], row['score_source']), {})[row['regions']] = row['AP50']
    rows = [[s, f"`'{source}'`", *(v[n] for n in counts)] for (s, source), v in found.items()]
    return markdown(['seeds', '`score_source`', *counts], rows)


def missing_boxes() -> str:
    """Drawn smears: a line for each share of missing boxes."""
    models = ('SSD', 'SSD+MIL', 'SSD+MIL, both switches')
    found: dict[str, dict[str, Row]] = {}
    for row in read('missing_boxes_synthetic'):
        found.setdefault(row['missing'], {})[row['model']] = row
    rows = [
        [
            f'{missing} %',
            *(spread('AP50')(of[m]) for m in models),
            spread('gain', sign=True)(of[models[-1]]),
        ]
        for missing, of in found.items()
    ]
    header = ['boxes missing', 'SSD', 'SSD + MIL, as printed', 'SSD + MIL, both switches']
    return markdown([*header, 'gain of both over SSD'], rows)


def missing_boxes_switches() -> str:
    """Each switch alone, seed by seed."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in read('missing_boxes_switches_synthetic'):
        key = (row['gt_seeds'], row['ignore_mined_negatives'])
        found.setdefault(key, []).append(row['coco_bbox_mAP_50'])
    names = {
        ('', ''): 'SSD',
        ('False', 'False'): 'SSD + MIL',
        ('False', 'True'): '`ignore_mined_negatives` alone',
        ('True', 'False'): '`gt_seeds` alone',
        ('True', 'True'): 'both',
    }
    return markdown([names[k] for k in found], [[', '.join(v) for v in found.values()]])


def image_labels() -> str:
    """Image labels alone: AP50 of each class."""
    rows = [
        [
            {'bccd': 'BCCD', 'cric': 'CRIC'}[row['set']] if row['class'] == 'mean' else '',
            row['class'],
            row['truths'],
            with_spread(one_decimal(row['AP50']), one_decimal(row['AP50_std'])),
            with_spread(one_decimal(row['CorLoc']), one_decimal(row['CorLoc_std'])),
        ]
        for row in read('image_labels')
    ]
    return markdown(['set', 'class', 'cells in the test part', 'AP50', 'CorLoc'], rows)


def bag_classes() -> str:
    """How many bags have a class: whole images against tiles of them."""
    found: dict[str, list[str]] = {}
    bags = []
    for cut, name in (('images', 'classes_bccd_images'), ('tiles', 'classes_bccd_tiles')):
        for row in read(name):
            found.setdefault(row['class'] or 'no class', []).append(
                f'{100 * float(row["share"]):.1f} % ({row["with_it"]})'
            )
        bags.append(f'{row["images"]} {cut}')
    return markdown(['', *bags], [[name, *shares] for name, shares in found.items()])


def proposal_recall() -> str:
    """Recall at IoU 0.5 by the number of regions."""
    counts = ('10', '32', '64', '128', '256', '300')
    sources = {
        ('proposals_cric', 'head'): ('CRIC, 1000 cells', 'head of a trained LD-WSCCD'),
        ('proposals_cric_squares', 'blobs'): ('', 'blobs, `sizes=[83]`, `contexts=[]`'),
        ('proposals_cric', 'blobs'): ('', 'blobs, default'),
        ('proposals_cric', 'priors'): ('', 'priors, by contrast'),
        ('proposals_cric', 'priors-even'): ('', 'priors, even'),
        ('proposals_bccd', 'blobs'): ('BCCD, 1137 cells', 'blobs, `channel=gray`'),
        ('proposals_synthetic', 'blobs'): ('drawn smears, 412 cells', 'blobs, four contexts'),
    }
    rows = []
    for (name, proposer), labels in sources.items():
        found = {
            row['regions']: row['all']
            for row in read(name)
            if row['proposer'] == proposer and row['IoU'] == '0.5'
        }
        rows.append([*labels, *(found[n] for n in counts)])
    return markdown(['set (val)', 'regions', *counts], rows)


# ------------------------------------------------------------------------------------ speed

OPERATORS = {'nms': 'NMS', 'roi_align': 'RoIAlign'}
SIDES = {
    'mmdet': "mmdet's SSD, float32",
    'ssd, float32': 'SSD, float32',
    'ssd': 'SSD',
    'teacher': "the teacher's forward pass",
    'ldm': 'SSD + LDM',
    'mil': 'SSD + MIL',
    'ldwsccd': 'LD-WSCCD',
    'mined': 'LD-WSCCD, with mined boxes',
}
STEP_PARTS = {
    'data': 'data',
    'student_forward': 'student forward',
    'student_loss': 'student loss',
    'proposals': 'proposals',
    'roi_features': 'RoI features',
    'fully_connected': 'fully connected',
    'seeds_and_losses': 'seeds and losses',
    'teacher': 'teacher',
    'distillation': 'distillation',
    'backward': 'backward',
    'optimizer': 'optimizer',
    'other': 'other',
}


def or_not_run(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; of one line that says "not run" where nothing was measured."""
    return markdown(header, rows or [[NOT_RUN, *[''] * (len(header) - 1)]])


def size_and_side(row: Row) -> list[str]:
    """The first columns of what was measured of a training step."""
    return [f'{row["size"]} px', SIDES.get(row['side'], row['side'])]


def training_step() -> str:
    """Time of a step of each side, and its ratio to others."""
    rows = [
        [
            *size_and_side(row),
            row['step_ms'],
            f'{row["p25_ms"]} to {row["p75_ms"]}',
            f'{row["ratio"]} of {row["against"]}' if row['ratio'] else '',
            row['goal'],
        ]
        for row in read('speed_training_step')
    ]
    header = ['image', 'what trains', 'a step, ms', 'quartiles', 'ratio', 'goal, at most']
    return or_not_run(header, rows)


def training_step_parts() -> str:
    """Milliseconds of each part of a step."""
    rows = [
        [*size_and_side(row), *(row[f'{part}_ms'] for part in STEP_PARTS)]
        for row in read('speed_training_step')
    ]
    return or_not_run(['image', 'what trains', *STEP_PARTS.values()], rows)


def local_distillation() -> str:
    """Time, memory and memory traffic of the loss as shipped, against FGD's."""
    rows = [
        [
            row['levels'],
            row['dtype'],
            row['layout'],
            f'{row["ours_ms"]} / {row["fgd_ms"]}',
            row['time_ratio'],
            row['cpu_time_ratio'],
            row['goal'],
            f'{row["ours_extra_mib"]} / {row["fgd_extra_mib"]}',
            row['over_passes'],
        ]
        for row in read('speed_local_distillation')
    ]
    header = ['levels', 'maps', 'layout', 'ms, ours / FGD', 'wall time', 'processor time']
    header += ['goal, at most', 'extra memory, MiB', 'time over that of its five passes']
    return or_not_run(header, rows)


def evaluation_scale() -> str:
    """Time and memory at the largest size of each task, and how both grow."""
    largest = {row['task']: row for row in read('speed_evaluation')}
    rows = [
        [
            row['task'],
            f'{row["size"]} {row["axis"]}',
            row['seconds'],
            row['goal_s'],
            row['extra_mib'],
            row['slope_seconds'],
            row['slope_memory'],
        ]
        for row in largest.values()
    ]
    header = ['task', 'largest size', 'seconds', 'goal, at most', 'memory, MiB']
    return or_not_run([*header, 'slope of the time', 'slope of the memory'], rows)


def inference() -> str:
    """Latency of one image by what runs, and how."""
    rows = [
        [
            row['model'],
            row['side'],
            row['latency_ms'] or f'{NOT_RUN}: {row["not_run"]}',
            f'{row["ratio"]} of {row["against"]}' if row['ratio'] else '',
            row['goal'],
        ]
        for row in read('speed_inference')
    ]
    return or_not_run(['model', 'what runs', 'latency, ms', 'ratio', 'goal, at most'], rows)


def speed_goals() -> str:
    """What was to be reached, and what was measured: every goal of the project's speed."""

    def line(what: str, goal: str, values: Sequence[str]) -> list[str]:
        numbers = [float(value) for value in values if value]
        if not numbers:
            return [what, goal, NOT_RUN, '']
        low, high = min(numbers), max(numbers)
        found = f'{low:g}' if low == high else f'{low:g} to {high:g}'
        return [what, goal, found, 'yes' if high <= float(goal.split()[0]) else 'no']

    def ratios(side: str, name: str = 'speed_training_step') -> list[str]:
        return [row['ratio'] for row in read(name) if row['side'] == side]

    loss = read('speed_local_distillation')
    whole = [row['time_ratio'] for row in loss if row['levels'] == 'all five']
    alone = [row['time_ratio'] for row in loss if row['levels'] != 'all five']
    tasks = {row['task']: row for row in read('speed_evaluation')}  # the largest size of each
    seconds = {name: [row['seconds']] for name, row in tasks.items() if row['goal_s']}
    metric = tasks.get('metric by images', {}).get('of_pycocotools', '')
    rows = [
        line("SSD's step, of mmdet's", '0.33', ratios('ssd')),
        line('SSD + LDM, of SSD and teacher', '1.1', ratios('ldm')),
        line('SSD + MIL, of SSD', '1.2', ratios('mil')),
        line('LD-WSCCD with mined boxes, of SSD and teacher', '1.3', ratios('mined')),
        line("the distillation loss, of FGD's", '0.2', whole),
        line('the same, each level alone', '0.5', alone),
        line('`CytologyMetric`, of pycocotools alone', '1', [metric]),
        line('report of 13 models', '120 s', seconds.get('report by models', [])),
        line('doctor on 7,410 images', '120 s', seconds.get('doctor by images', [])),
        line('composing 1,000 scenes', '60 s', seconds.get('compose by scenes', [])),
        line('slope of any time', '1', [row['slope_seconds'] for row in tasks.values()]),
        line("student's prediction, of plain SSD's", '1', ratios('student', 'speed_inference')),
        line(
            "with both heads' scores, of the student's",
            '1.1',
            ratios('both heads', 'speed_inference'),
        ),
    ]
    return markdown(['what', 'goal, at most', 'measured', 'reached'], rows)


def rescoring() -> str:
    """What scoring by the MIL head adds to the latency, by threads and regions."""
    found: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for row in read('speed_rescoring'):
        name = 'full size, random weights' if row['options'] else 'narrow, CRIC'
        key = (name, row['regions'], row['threads'], row['ssd_ms'])
        found.setdefault(key, {})[row['source']] = row
    rows = [[*key, of['mil']['added'], of['fused']['added']] for key, of in found.items()]
    header = ['student', 'regions', 'threads', 'SSD alone, ms', "`'mil'`", "`'fused'`"]
    return markdown(header, sorted(rows, key=lambda row: (row[2] == '1', row[0] != 'narrow, CRIC')))


def tiled_accuracy() -> str:
    """AP50 in tiles and of whole images, over seeds."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in read('tiled_accuracy'):
        key = tuple(row[name] for name in ('data', 'surroundings', 'model', 'overlap'))
        groups.setdefault(key, []).append(row)
    columns = ('AP50_whole', 'AP50_tiled')
    lines = [
        [
            DATA[data],
            surroundings,
            MODELS.get(model, model),
            overlap,
            *(mean_and_spread(float(row[name]) for row in rows) for name in columns),
            mean_and_spread([float(row['difference']) for row in rows], sign=True),
        ]
        for (data, surroundings, model, overlap), rows in groups.items()
    ]
    where = ['data', 'surroundings', 'model', '`--overlap`']
    header = [*where, 'AP50, whole images', 'in tiles', 'difference']
    return markdown(header, lines or [['any', '', '', '', *[NOT_RUN] * 3]])


def stacks() -> str:
    """Every stack of dev/stacks.py, with how its last try ended."""
    tried = {row['stack']: row for row in read('stacks')}
    rows = []
    for name, stack in STACKS.items():
        parts = [part.replace('==', ' ') for part in (*stack.torch, *stack.packages)]
        result = NOT_RUN
        if row := tried.get(name):
            result = f'{row["result"]} in {row["seconds"]} s: {row["last_line"]}'
        rows.append([f'`{name}`', stack.python, ', '.join(parts), stack.about, result])
    return markdown(['stack', 'Python', 'packages', 'what it is', 'result'], rows)


def soak() -> str:
    """Memory of long runs, and their time."""
    run = {row['part']: row for row in read('soak')}
    rows = []
    for part, what in {'iterations': 'training iterations', 'predictions': 'predictions'}.items():
        row = run.get(part)
        if row is None:
            rows.append([what, NOT_RUN, '', ''])
        else:
            memory = ', '.join(row[key] for key in ('first_mb', 'third_tenth_mb', 'last_tenth_mb'))
            rows.append([what, f'{int(row["number"]):,}', f'{memory} MB', f'{row["seconds"]} s'])
    header = ['part', 'how many', 'memory at first, in the third tenth, in the last', 'time']
    return markdown(header, rows)


# ------------------------------------------------------------------------------- the tables

TABLES: dict[str, Callable[[], str]] = {
    'half_the_boxes': half_the_boxes,
    'fewer_boxes': fewer_boxes,
    'half_the_boxes_by_model': half_the_boxes_by_model,
    'half_the_boxes_by_source': half_the_boxes_by_source,
    'classes_composed': half_the_boxes_by_class('composed'),
    'classes_cric': half_the_boxes_by_class('cric'),
    'half_the_boxes_by_round': half_the_boxes_by_round,
    'what_teaches': what_teaches,
    'seeds_in_doubt': seeds_in_doubt,
    'other_classes': other_classes,
    'other_classes_ap50': other_classes_ap50,
    'near_finds': near_finds,
    'hard_negatives': hard_negatives,
    'hard_negative_scores': hard_negative_scores,
    'soak': soak,
    'mined_boxes': mined_boxes,
    'mined_boxes_before': mined_boxes_before,
    'student_far_weight': student_far_weight,
    'colours_in_order': colours_in_order,
    'complete_labels': complete_labels,
    'demo': demo,
    'cric_20_epochs': Listing(
        'ablation_cric_20_epochs',
        {
            'model': '{name}',
            'AP50': lambda r: with_spread(r['mAP@50'], r['std']),
            'gain over SSD': lambda r: with_spread(r['gain'], r['gain_std']),
            **per_class('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc', suffix=' std'),
        },
    ),
    'cric_40_epochs': Listing(
        'ablation_cric_40_epochs',
        {
            'model': '{model}',
            'AP50': '{mAP@50}',
            'gain over SSD': '{gain over SSD}',
            **per_class('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc'),
        },
    ),
    'bccd_20_epochs': Listing(
        'ablation_bccd_20_epochs',
        {
            'model': '{name}',
            'AP50': interval('mAP@50', 'low', 'high'),
            'gain over SSD': interval('gain', 'gain_low', 'gain_high'),
            **per_class('Platelets', 'RBC', 'WBC'),
        },
    ),
    'bccd_baselines': bccd_baselines,
    'score_sources_cric': score_sources_cric,
    'regions_at_test': regions_at_test,
    'missing_boxes': missing_boxes,
    'missing_boxes_switches': missing_boxes_switches,
    'image_labels': image_labels,
    'bag_classes': bag_classes,
    'proposal_recall': proposal_recall,
    'local_distillation': local_distillation,
    'training_step': training_step,
    'training_step_parts': training_step_parts,
    'evaluation_scale': evaluation_scale,
    'inference': inference,
    'speed_goals': speed_goals,
    'mil_refinement': Listing(
        'speed_mil_refinement',
        {
            'classes in an image': '{classes_present}',
            'processor time, ms': '{batch_cpu_ms}',
            "of the loop's": '{cpu_ratio}',
            "wall time, of the loop's": '{ratio}',
        },
    ),
    'operators': Listing(
        'speed_operators',
        {
            'operator': lambda row: OPERATORS[row['operator']],
            'case': '{case}',
            "mmcv's, ms": '{mmcv_cpu_ms}',
            'plain torch, ms': '{torch_cpu_ms}',
            'ratio': '{ratio}',
        },
    ),
    'rescoring': rescoring,
    'stacks': stacks,
    'tiled_accuracy': tiled_accuracy,
    'whole_runs': Listing(
        'speed_whole_runs',
        {
            'run': '{task}',
            'images': '{images}',
            'operators': '{operators}',
            'wall time, s': '{wall_s}',
            'processor time, s': '{cpu_s}',
            'ratio': '{ratio}',
        },
    ),
    'region_memory': Listing(
        'speed_region_memory',
        {
            'regions an image': '{regions}',
            'images': '{batch}',
            '`roi_chunk_size`': lambda row: row['roi_chunk_size'] or 'none',
            'pooled features, MiB': '{pooled_mib}',
            'peak, MiB': '{extra_peak_mib}',
            'processor time, s': '{cpu_s}',
        },
    ),
}


class PageError(Exception):
    """A page asks for what there is not."""


def pages() -> list[Path]:
    return sorted(path for pattern in PAGES for path in ROOT.glob(pattern))


def updated(path: Path) -> str:
    """The text of a page with its tables made anew."""
    text = path.read_text(encoding='utf-8')
    asked = re.findall(r'^<!-- table: ', text, re.MULTILINE)
    if len(asked) != len(MARKED.findall(text)):
        raise PageError(f'{path}: a <!-- table: NAME --> has no <!-- end --> after it')

    def fill(found: re.Match[str]) -> str:
        if found[2] not in TABLES:
            raise PageError(f"{path}: no table '{found[2]}', expected one of {', '.join(TABLES)}")
        return f'{found[1]}\n{TABLES[found[2]]()}\n{found[4]}'

    return MARKED.sub(fill, text)


def outdated() -> dict[Path, str]:
    """Pages whose tables are not those of the CSVs, with the text that they should have."""
    texts = {path: updated(path) for path in pages()}
    return {path: text for path, text in texts.items() if path.read_text('utf-8') != text}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--check', action='store_true', help='write nothing')
    parser.add_argument('--list', action='store_true', help='print the names of the tables')
    args = parser.parse_args(argv)
    if args.list:
        print('\n'.join(TABLES))
        return 0
    try:
        stale = outdated()
    except PageError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    for path, text in stale.items():
        if args.check:
            print(f'{path.relative_to(ROOT)} is out of date: python dev/tables.py')
        else:
            path.write_text(text, encoding='utf-8')
            print(path.relative_to(ROOT))
    return int(bool(stale) and args.check)


if __name__ == '__main__':
    sys.exit(main())
