"""The one writer of CSV tables: cells that a spreadsheet would run are text."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ['csv_text', 'safe_cell', 'write_csv']

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
    csv.writer(stream, lineterminator='\n').writerows([[safe_cell(v) for v in row] for row in rows])
    return stream.getvalue()


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
