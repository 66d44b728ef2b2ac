"""The one writer of CSV tables: cells that a spreadsheet would run are text."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

__all__ = ['csv_text', 'records', 'safe_cell', 'write_csv', 'write_rows']

_RUN = ('=', '+', '-', '@', '\t')


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Write rows as CSV.

    Spreadsheets run a cell that begins with =, +, - or @. Numbers are left as they are; text that
    begins so gets an apostrophe before it, as spreadsheets mark text themselves. Line breaks in a
    cell become blanks.

    Args:
        rows: The rows, the header first.
    """
    stream = io.StringIO()
    write_rows(stream, rows)
    return stream.getvalue()


def write_rows(file: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to an open file, one at a time; see :func:`csv_text`.

    Args:
        file: A text file, opened with ``newline=''``.
        rows: The rows, the header first.
    """
    table = csv.writer(file, lineterminator='\n')
    table.writerows([safe_cell(value) for value in row] for row in rows)


def records(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> Iterator[Sequence[Any]]:
    """Turn records into rows, the header first; a key that a record lacks is an empty cell.

    Args:
        rows: The records.
        columns: The keys; None: those of the first record.
    """
    columns = list(rows[0]) if columns is None else columns
    yield columns
    for row in rows:
        yield [row.get(name, '') for name in columns]


def write_csv(path: str | Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to a CSV file, whole or not at all; see :func:`csv_text`.

    Args:
        path: The file; its folder is made where missing.
        rows: The rows, the header first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.{os.getpid()}')
    part.write_text(csv_text(rows), encoding='utf-8', newline='')
    os.replace(part, path)


def safe_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet runs; see :func:`csv_text`."""
    if not isinstance(value, str):
        return value
    value = re.sub(r'[\r\n]+', ' ', value)
    if not value.startswith(_RUN):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value
