"""All sides of a model run on the same images; what cannot run says why."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'ldwsccd' / 'ldwsccd_ssd256-narrow_bccd.py'


@pytest.fixture
def benchmark(monkeypatch):
    path = ROOT / 'benchmarks' / 'inference_latency.py'
    monkeypatch.syspath_prepend(path.parent)  # as for a script
    spec = importlib.util.spec_from_file_location('inference_latency_benchmark', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.torch, 'set_num_threads', lambda _: None)
    return module


def run(benchmark, monkeypatch, out, *sides):
    arguments = [str(CONFIG), '--size', '64', '--runs', '2', '--csv', str(out), '--threads', '1']
    monkeypatch.setattr(sys, 'argv', ['x', *arguments, '--sides', *sides])
    benchmark.main()
    return {row['side']: row for row in csv.DictReader(out.open())}


def test_sides_and_their_ratios(benchmark, tmp_path, monkeypatch):
    sides = ('plain SSD', 'student', 'both heads', 'channels_last')
    rows = run(benchmark, monkeypatch, tmp_path / 'out.csv', *sides)
    assert tuple(rows) == sides
    assert [row['against'] for row in rows.values()] == ['', 'plain SSD', 'student', 'student']
    assert all(float(row['latency_ms']) > 0 for row in rows.values())
    assert all(float(rows[side]['ratio']) > 0 for side in sides[1:])
    assert rows['plain SSD']['boxes'] == rows['student']['boxes']


def test_what_cannot_run_says_why(benchmark, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError('no compiler\nand much more')

    monkeypatch.setattr(benchmark.torch, 'compile', refuse)
    rows = run(benchmark, monkeypatch, tmp_path / 'out.csv', 'student', 'compiled')
    assert rows['compiled']['latency_ms'] == ''
    assert rows['compiled']['not_run'] == 'RuntimeError: no compiler'
    assert rows['student']['not_run'] == ''


@pytest.mark.slow
def test_exported_sides(benchmark, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime', reason='the extra [export] is not installed')
    rows = run(benchmark, monkeypatch, tmp_path / 'out.csv', 'student', 'ONNX Runtime')
    assert float(rows['ONNX Runtime']['ratio']) > 0
