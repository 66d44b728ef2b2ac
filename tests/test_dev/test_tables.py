"""The tables of README and docs are those of results/*.csv, and say "not run" where nothing ran."""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path

import pytest

from dev import tables
from ldwsccd_mmdet.experiments.half_the_boxes import COLUMNS as HALF


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of results/."""
    monkeypatch.setattr(tables, 'RESULTS', tmp_path)
    return tmp_path


def write_half(
    folder: Path,
    *rows: tuple[str, str, str, str, int, float],
    rounds: int = 1,
    mode: str = 'w',
    name: str = 'half_the_boxes',
    negatives: str = tables.SOFT,
    distillation: str = '',
    colours: str = 'in order',
) -> None:
    with (folder / f'{name}.csv').open(mode, newline='') as file:
        writer = csv.writer(file)
        if mode == 'w':
            writer.writerow(HALF)
        for data, kept, model, source, seed, ap50 in rows:
            mined = 0 if model in tables.PLAIN else rounds
            which = 'hard' if model == 'ssd' else negatives
            line = [data, kept, model, mined, which, distillation, colours, source, seed, 20]
            writer.writerow([*line, 'test', ap50])


def cells(table: str, *beginning: str) -> list[str]:
    """The rest of the line that begins with these cells."""
    lines = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()]
    (found,) = [line for line in lines if line[: len(beginning)] == list(beginning)]
    return found[len(beginning) :]


def test_the_pages_agree_with_the_results() -> None:
    """If this fails: python dev/tables.py."""
    assert [path.name for path in tables.outdated()] == []


def test_every_csv_is_in_a_table_and_in_the_index() -> None:
    made = Path(tables.__file__).read_text('utf-8')
    made += (tables.ROOT / 'dev' / 'model_zoo.py').read_text('utf-8')
    index = (tables.ROOT / 'results' / 'README.md').read_text('utf-8')
    for path in (tables.ROOT / 'results').glob('*.csv'):
        assert path.stem in made, path.name
        assert path.name in index.replace('proposals_*', path.stem), path.name


def test_every_page_names_tables_that_there_are() -> None:
    asked = {
        name
        for page in tables.pages()
        for name in re.findall(r'^<!-- table: (\S+) -->', page.read_text('utf-8'), re.MULTILINE)
    }
    assert 'half_the_boxes' in asked
    assert asked <= set(tables.TABLES)


def test_not_run(results: Path) -> None:
    table = tables.half_the_boxes()
    assert cells(table, 'BCCD, blood cells') == ['any', *['not run'] * 6]
    assert cells(tables.fewer_boxes(), 'any') == ['any', *['not run'] * 5]
    write_half(results, ('bccd', '1', 'ssd', 'ssd', 0, 87.5))
    table = tables.half_the_boxes()
    assert cells(table, 'BCCD, blood cells, 20 epochs', 'all') == [
        '87.5 (one seed)',
        *['not run'] * 5,
    ]
    assert cells(table, '', 'half') == ['not run'] * 6


def test_gains_are_paired_by_seed(results: Path) -> None:
    write_half(
        results,
        ('bccd', '1.0', 'ssd', 'ssd', 0, 87.0),
        ('bccd', '1.0', 'ssd', 'ssd', 1, 86.0),
        ('bccd', '0.5', 'ssd', 'ssd', 0, 79.0),
        ('bccd', '0.5', 'ssd', 'ssd', 1, 69.0),
        ('bccd', '0.5', 'ssd_all_negatives', 'ssd', 0, 84.0),
        ('bccd', '0.5', 'ldwsccd', 'ssd', 0, 1.0),
        ('bccd', '0.5', 'ldwsccd', 'fused', 0, 87.0),
        ('bccd', '0.5', 'ldwsccd', 'fused', 1, 87.0),
        ('bccd', '0.5', 'ldwsccd', 'fused', 2, 50.0),  # no SSD of this seed: in no gain
    )
    ssd, other, ours, gain, over_other, against_all = cells(tables.half_the_boxes(), '', 'half')
    assert ssd == '74.0 ± 7.1 (two seeds)'
    assert (other, over_other) == ('84.0 (one seed)', '+3.0 (one seed)')
    assert ours == '74.7 ± 21.4'
    assert gain == '+13.0 ± 7.1 (two seeds)'  # 8 and 18
    assert against_all == '+0.5 ± 0.7 (two seeds)'  # 0 and 1
    shown = tables.fewer_boxes().splitlines()[2:]  # what has no LD-WSCCD is left out
    assert [[cell.strip() for cell in line.split('|')[1:-1]] for line in shown] == [
        ['BCCD, blood cells, 20 epochs', 'half', ssd, other, ours, gain, '86.5 ± 0.7 (two seeds)']
    ]
    by_source = tables.half_the_boxes_by_source()
    assert cells(by_source, '', 'half') == ['1.0 (one seed)', ours]


def test_classes_are_means_over_seeds(results: Path) -> None:
    table = tables.half_the_boxes_by_class('bccd')
    assert cells(table(), 'any') == ['not run'] * 4
    with (results / 'half_the_boxes.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow([*HALF, 'RBC', 'other'])
        for model, ap, seed in ('ssd', 20, 0), ('ssd', 30, 1), ('ldwsccd', 31, 0), ('x', 9, 0):
            which = 'hard' if model == 'ssd' else tables.SOFT
            row = ['bccd', '1', model, int(model == 'ldwsccd'), which, '', 'in order', 'ssd', seed]
            writer.writerow([*row, 20, 'test', ap, ap + 1, ''])
        row = ['cric', '1', 'ssd', 0, 'hard', '', 'in order', 'ssd', 0, 20]
        writer.writerow([*row, 'test', 50, '', 50])
    two = '25.0 ± 7.1 (two seeds)'
    one = ['31.0 (one seed)', 'not run', '+11.0 (one seed)']
    assert cells(table(), 'mean') == [two, *one]
    assert cells(table(), 'RBC')[0] == '26.0 ± 7.1 (two seeds)'
    assert 'other' not in table()


def test_what_a_box_of_another_class_brought(results: Path) -> None:
    columns = ['data', 'boxes_kept', 'rounds', 'negatives', 'seed', 'class', 'kept_share']
    shares = {'mined_boxes_own_class': (0.5, 0.7), 'mined_boxes': (0.8, 0.9)}
    for file, (first, second) in shares.items():
        with (results / f'{file}.csv').open('w', newline='') as out:
            writer = csv.writer(out)
            writer.writerow(columns)
            writer.writerow(['cric', '1', 1, tables.SOFT, 0, 'hsil', first])
            writer.writerow(['cric', '1', 1, tables.SOFT, 1, 'hsil', second])
            writer.writerow(['cric', '1', 2, tables.SOFT, 0, 'hsil', 0.1])
            writer.writerow(['bccd', '1', 1, 'hard', 0, 'WBC', 0.1])
    name = 'CRIC, Pap smears'
    two = [f'{mean} ± {spread} (two seeds)' for mean, spread in ((60.0, 14.1), (85.0, 7.1))]
    assert cells(tables.other_classes(), name, 'all') == ['hsil', *two]

    with (results / 'other_classes_cric.csv').open('w', newline='') as out:
        writer = csv.writer(out)
        writer.writerow(['mined_by', 'score_source', 'seed', 'AP50'])
        writer.writerow(['own class', 'ssd', 0, 28.0])
        writer.writerow(['any class', 'ssd', 0, 30.0])
        writer.writerow(['any class', 'ssd', 1, 31.0])
    ap50 = tables.other_classes_ap50()
    assert cells(ap50, "`'ssd'`") == [f'{ap} (one seed)' for ap in ('28.0', '30.0', '+2.0')]
    assert cells(ap50, "`'mil'`") == ['not run'] * 3


def test_rounds_have_a_table_of_their_own(results: Path) -> None:
    write = partial(write_half, colours='changing places')
    row = ('bccd', '0.5', 'ldwsccd', 'fused', 0)
    write(results, ('bccd', '0.5', 'ssd', 'ssd', 0, 79.0), (*row, 80.0))
    write(results, (*row, 90.0), rounds=2, mode='a')
    write(results, (*row, 60.0), negatives='hard', mode='a')
    write(results, (*row, 85.0), rounds=2, name='half_the_boxes_second_teacher', negatives='')
    assert cells(tables.half_the_boxes(), '', 'half')[3] == '+1.0 (one seed)'
    name = 'BCCD, blood cells, 20 epochs'
    write(results, (*row, 70.0), negatives='beside', mode='a')
    by_round = tables.half_the_boxes_by_round()
    assert cells(by_round, name, 'half', 'teacher') == ['80.0 (one seed)']
    assert cells(by_round, name, 'half', 'teacher, student') == ['90.0 (one seed)']
    everywhere = 'hard negatives everywhere'
    assert cells(by_round, name, 'half', f'teacher, {everywhere}') == ['60.0 (one seed)']
    beside = 'hard negatives beside the boxes'
    assert cells(by_round, name, 'half', f'teacher, {beside}') == ['70.0 (one seed)']
    second = f'teacher, second teacher, {everywhere}'
    assert cells(by_round, name, 'half', second) == ['85.0 (one seed)']


def test_of_earlier_numbers_those_with_most_seeds_stand(results: Path) -> None:
    row = ('bccd', '0.5', 'ldwsccd', 'fused')
    write_half(results, ('bccd', '0.5', 'ssd', 'ssd', 0, 79.0))
    write_half(results, (*row, 0, 60.0), (*row, 1, 62.0), negatives='hard', mode='a')
    write_half(results, (*row, 0, 70.0), negatives='beside', mode='a')
    assert cells(tables.half_the_boxes(), '', 'half')[2] == '61.0 ± 1.4 (two seeds) ¹'
    write_half(results, (*row, 1, 72.0), negatives='beside', mode='a')
    assert cells(tables.half_the_boxes(), '', 'half')[2] == '71.0 ± 1.4 (two seeds) ¹'


def test_numbers_of_the_earlier_teacher_are_marked_until_there_are_others(results: Path) -> None:
    row = ('bccd', '0.5', 'ldwsccd', 'fused', 0)
    write_half(results, ('bccd', '0.5', 'ssd', 'ssd', 0, 79.0))
    write_half(results, (*row, 60.0), negatives='hard', mode='a')
    assert cells(tables.half_the_boxes(), '', 'half')[2] == '60.0 (one seed) ¹'
    assert '60.0 (one seed) ¹' in tables.fewer_boxes()
    write_half(results, (*row, 80.0), mode='a')
    assert cells(tables.half_the_boxes(), '', 'half')[2] == '80.0 (one seed)'


def test_every_stack_has_a_line(results: Path) -> None:
    columns = 'stack,python,torch,mmcv,result,seconds,last_line\n'
    row = 'py310,3.10,torch==2.13.0,mmcv-lite==2.1.0,failed,9,1 failed in 5s\n'
    (results / 'stacks.csv').write_text(columns + row)
    table = tables.stacks()
    assert cells(table, '`py310`', '3.10')[-1] == 'failed in 9 s: 1 failed in 5s'
    for name in set(tables.STACKS) - {'py310'}:
        assert cells(table, f'`{name}`')[-1] == 'not run'


def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    monkeypatch.setattr(tables, 'ROOT', tmp_path)
    path = tmp_path / 'README.md'
    path.write_text(text, encoding='utf-8')
    return path


def test_check_and_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = page(tmp_path, monkeypatch, 'a\n<!-- table: demo -->\nold\n<!-- end -->\nb\n')
    assert tables.main(['--check']) == 1
    assert 'README.md is out of date' in capsys.readouterr().out
    assert 'old' in path.read_text()
    assert tables.main([]) == 0
    text = path.read_text()
    assert text.startswith('a\n') and text.endswith('<!-- end -->\nb\n') and 'old' not in text
    assert tables.main(['--check']) == 0


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('<!-- table: nothing -->\n<!-- end -->', "no table 'nothing'"),
        ('<!-- table: demo -->\n', 'no <!-- end -->'),
    ],
)
def test_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    message: str,
) -> None:
    page(tmp_path, monkeypatch, text)
    assert tables.main([]) == 2
    assert message in capsys.readouterr().err


def test_what_the_teacher_teaches_has_a_table_of_its_own(results: Path) -> None:
    assert cells(tables.what_teaches(), 'any') == ['not run'] * 6
    row = ('cric', '1', 'ldwsccd')
    write_half(results, ('cric', '1', 'ssd', 'ssd', 0, 20.0), ('cric', '1', 'ssd', 'ssd', 1, 22.0))
    weak, strong = 'alpha 0.2', 'alpha 2, logits'
    for way, ssd, fused in (weak, (21.0, 22.0), (23.0, 24.0)), (strong, (25.0,), (27.0,)):
        for source, values in ('ssd', ssd), ('fused', fused):
            rows = [(*row, source, seed, ap50) for seed, ap50 in enumerate(values)]
            write_half(results, *rows, distillation=way, mode='a')
    name = ('CRIC, Pap smears, 20 epochs', 'all')
    two = [f'{mean} ± 0.7 (two seeds)' for mean in ('21.5', '23.5', '+2.5')]
    assert cells(tables.what_teaches(), *name, weak) == ['0, 1', *two]
    one = [f'{value} (one seed)' for value in ('25.0', '27.0', '+7.0')]
    assert cells(tables.what_teaches(), *name, strong) == ['0', *one]
    # the other tables show what has most seeds, of equals the newest
    assert cells(tables.half_the_boxes(), *name)[2] == '23.5 ± 0.7 (two seeds)'
    write_half(results, (*row, 'fused', 1, 29.0), distillation=strong, mode='a')
    assert cells(tables.half_the_boxes(), *name)[2] == '28.0 ± 1.4 (two seeds)'


def test_colours_in_order_are_compared_with_those_that_change_places(results: Path) -> None:
    assert cells(tables.colours_in_order(), 'any') == ['not run'] * 7
    before, after = 'changing places', 'in order'
    ssd, ours = ('cric', '1', 'ssd', 'ssd'), ('cric', '1', 'ldwsccd', 'fused')
    write_half(results, (*ssd, 0, 24.0), (*ssd, 1, 26.0), (*ours, 0, 30.0), colours=before)
    name = ('CRIC, Pap smears, 20 epochs', 'all')
    assert cells(tables.half_the_boxes(), *name)[2] == '30.0 (one seed) ²'
    write_half(results, (*ssd, 0, 31.0), (*ours, 1, 33.0), colours=after, mode='a')
    # of equally many seeds those in order, and each model beside an SSD of the same colours
    line = cells(tables.half_the_boxes(), *name)
    assert line[0] == '31.0 (one seed)'
    assert line[2:] == ['33.0 (one seed)', *['not run'] * 3]
    write_half(results, (*ours, 0, 34.0), colours=after, mode='a')
    line = cells(tables.colours_in_order(), '', '', 'SSD')
    assert line == ['25.0 ± 1.4 (two seeds)', '31.0 (one seed)', '+7.0 (one seed)', '', '']
    assert cells(tables.colours_in_order(), '', '', 'LD-WSCCD') == [
        '30.0 (one seed)',
        '33.5 ± 0.7 (two seeds)',
        '+4.0 (one seed)',
        '+6.0 (one seed)',
        '+3.0 (one seed)',
    ]


def test_labels_taken_as_complete_have_a_table_and_a_mark(results: Path) -> None:
    assert cells(tables.complete_labels(), 'any') == ['not run'] * 5
    ssd, ours = ('cric', '1', 'ssd', 'ssd'), ('cric', '1', 'ldwsccd', 'fused')
    write_half(results, (*ssd, 0, 30.0), (*ssd, 1, 32.0), (*ours, 0, 33.0))
    write_half(
        results,
        ('cric', '1', 'teacher', 'ssd', 0, 45.0),
        (*ours, 0, 36.0),
        rounds=0,
        negatives='hard',
        mode='a',
    )
    # of equally many seeds those that nobody looked for
    name = ('CRIC, Pap smears, 20 epochs', 'all')
    assert cells(tables.half_the_boxes(), *name)[2] == '36.0 (one seed) ³'
    write_half(results, (*ours, 1, 34.0), mode='a')
    assert cells(tables.half_the_boxes(), *name)[2] == '33.5 ± 0.7 (two seeds)'
    table = tables.complete_labels()
    assert cells(table, name[0], 'teacher') == ['not run', '45.0 (one seed)', 'not run', '']
    assert cells(table, '', 'LD-WSCCD') == [
        '33.5 ± 0.7 (two seeds)',
        '36.0 (one seed)',
        '+3.0 (one seed)',
        '+6.0 (one seed)',
    ]
