"""The benchmark times each source and number of regions against the student's own scores."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    path = ROOT / 'benchmarks' / 'rescoring_latency.py'
    spec = importlib.util.spec_from_file_location('rescoring_latency_benchmark', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.torch, 'set_num_threads', lambda _: None)
    return module


def test_ratio_is_the_median_of_the_turns(benchmark):
    row = benchmark.compare([1.0, 2.0, 4.0], [1.1, 2.0, 8.0], 'cpu_')
    assert row == {'cpu_ssd_ms': 2000.0, 'cpu_ms': 2000.0, 'cpu_added': '+10.0 %'}


def test_writes_its_figures(benchmark, tmp_path, monkeypatch):
    config = str(ROOT / 'configs' / 'ldwsccd' / 'ldwsccd_ssd512-narrow_cric.py')
    out = tmp_path / 'out.csv'
    arguments = [config, '--count', '1', '--runs', '1', '--regions', '5', '9', '--csv', str(out)]
    monkeypatch.setattr(sys, 'argv', ['x', *arguments])
    benchmark.main()
    rows = list(csv.DictReader(out.open()))
    sides = [(row['source'], row['regions']) for row in rows]
    assert sides == [('mil', '5'), ('mil', '9'), ('fused', '5'), ('fused', '9')]
    for row in rows:
        ratio = float(row['cpu_ms']) / float(row['cpu_ssd_ms'])
        assert float(row['cpu_added'].split()[0]) == pytest.approx(100 * (ratio - 1), abs=0.2)
