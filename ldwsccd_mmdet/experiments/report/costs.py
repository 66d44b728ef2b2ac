"""What a detector costs: parameters, operations, latency, from a table of a benchmark."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigError, DatasetError
from ...regular_files import read_text

__all__ = ['Cost', 'read_costs']

#: Columns that are read, the first that is there; those of `benchmarks/` among them.
_COLUMNS = {
    'parameters': ('parameters_at_test_m', 'parameters_m'),
    'gflops': ('gflops',),
    'latency': ('prediction_ms', 'latency_ms'),
}


@dataclass(frozen=True)
class Cost:
    """What a detector costs at test; NaN where it is not known.

    Attributes:
        parameters: Parameters, in millions.
        gflops: Multiply-adds of one image, in 10^9.
        latency: Time of one image, in ms.
    """

    parameters: float = math.nan
    gflops: float = math.nan
    latency: float = math.nan


def read_costs(path: str | Path) -> dict[str, Cost]:
    """Read a CSV with the column ``model`` and some of those that the benchmarks write.

    Args:
        path: The CSV: ``results/speed_models.csv`` of ``benchmarks/models.py``, or one's own with
            ``model``, ``parameters_m``, ``gflops``, ``latency_ms``.

    Returns:
        The costs by name: as ``model`` has it, or the file name of ``config`` without its suffix.

    Raises:
        ConfigError: The file cannot be read, or has not these columns.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline='')))
    except (DatasetError, csv.Error) as error:
        raise ConfigError(f'--speed: {error}; name a CSV') from error
    found = set(rows[0]) if rows else set()
    wanted = [name for names in _COLUMNS.values() for name in names]
    if 'model' not in found or not found & set(wanted):
        raise ConfigError(
            f'--speed: {path} has the columns {", ".join(sorted(map(str, found))) or "none"}, '
            f'expected model and some of {", ".join(wanted)}'
        )
    costs = {}
    for row in rows:
        cost = Cost(**{key: _number(row, names, path) for key, names in _COLUMNS.items()})
        costs[Path(row.get('config') or row['model']).stem] = cost
        costs[row['model']] = cost
    return costs


def _number(row: Mapping[str, str], names: tuple[str, ...], path: str | Path) -> float:
    """Read the first of several columns that a row fills."""
    text = next((row[name] for name in names if row.get(name)), '')
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise ConfigError(
            f'--speed: {path} has {text!r} for {row["model"]}, expected a number in {names[0]}'
        ) from error
