"""The benchmark's yardsticks and the loss are one formula, and its figures can be taken."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / 'benchmarks' / 'local_distillation.py'
LEVELS = ((8, 6), (5, 3))


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(PATH.parent)  # as for a script
    spec = importlib.util.spec_from_file_location('local_distillation_benchmark', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.torch, 'set_num_threads', lambda _: None)
    return module


@pytest.mark.parametrize('layout', ['contiguous', 'channels_last'])
def test_yardstick_gives_our_loss_and_gradient(benchmark, layout):
    inputs = benchmark.make_inputs(LEVELS, 2, 'cpu', layout, 'float32', 7)
    sides = (benchmark.OURS, benchmark.SAME, benchmark.FGD)
    steps = {side: benchmark.make_step(side, inputs, LEVELS) for side in sides}
    benchmark.check_equal(steps, inputs[0], rtol=1e-4)
    steps[benchmark.SAME] = steps[benchmark.OURS]
    with pytest.raises(AssertionError, match='the sides differ'):
        benchmark.check_equal(steps, inputs[0], rtol=1e-4)


def test_writes_its_figures(benchmark, tmp_path, monkeypatch):
    """In this process, where a peak of memory means nothing but is a number."""
    monkeypatch.setattr(benchmark, 'LEVELS', LEVELS)
    monkeypatch.setattr(benchmark, 'STREAM_MIB', 1)
    monkeypatch.setattr(benchmark, 'extra_peak_memory', lambda spec, side: len(side))
    out = tmp_path / 'out.csv'
    arguments = ['--batch', '1', '--repetitions', '1', '--layout', 'contiguous', '--csv', str(out)]
    monkeypatch.setattr(sys, 'argv', ['x', *arguments, '--threads', '1'])
    monkeypatch.setattr(benchmark, 'memory_process', Here)
    benchmark.main()
    rows = list(csv.DictReader(out.open()))
    assert [row['dtype'] for row in rows] == ['float32', 'bfloat16'] * 3
    assert [row['goal'] for row in rows] == ['0.2'] * 2 + ['0.5'] * 4
    for row in rows:
        ratio = float(row['ours_ms']) / float(row['fgd_ms'])
        assert float(row['time_ratio']) == pytest.approx(ratio, rel=0.5)
        assert float(row['memory_ratio']) == pytest.approx(4 / 3, abs=0.1)
        assert float(row['over_passes']) > 0
    stream, moved = benchmark.make_stream('cpu', 1)
    stream()
    assert moved == 3 << 20


class Here:
    """Stands for the process that measures memory."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *args):
        self.result = lambda: function(*args)
        return self
