"""Tables that a spreadsheet opens: nothing in them is run."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from ldwsccd_mmdet.csv_table import csv_text, safe_cell, write_csv


@pytest.mark.parametrize(
    ('cell', 'written'),
    [
        ('=1+1', "'=1+1"),
        ('+cmd', "'+cmd"),
        ('-x', "'-x"),
        ('@sum', "'@sum"),
        ('\t=1', "'\t=1"),
        ('\r\n=1', ' =1'),
        ('-0.5', '-0.5'),
        ('+1.3', '+1.3'),
        ('hsil', 'hsil'),
        ('a\nb', 'a b'),
        (-3, -3),
        (0.25, 0.25),
        ('', ''),
    ],
)
def test_safe_cell(cell: object, written: object) -> None:
    assert safe_cell(cell) == written


def test_table(tmp_path: Path) -> None:
    rows = [['class', 'AP'], ['=evil()', -0.5], ['a,"b"', '']]
    assert list(csv.reader(io.StringIO(csv_text(rows)))) == [
        ['class', 'AP'],
        ["'=evil()", '-0.5'],
        ['a,"b"', ''],
    ]
    write_csv(tmp_path / 'new' / 't.csv', rows)
    assert (tmp_path / 'new' / 't.csv').read_text() == csv_text(rows)
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['t.csv']
