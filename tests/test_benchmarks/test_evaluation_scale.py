"""Each task runs on growing sizes, and its slope is that of its times."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / 'benchmarks' / 'evaluation_scale.py'


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(PATH.parent)  # as for a script
    spec = importlib.util.spec_from_file_location('evaluation_scale_benchmark', PATH)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look there
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'ProcessPoolExecutor', Here)
    monkeypatch.setattr(module, 'STEPS', 2)
    return module


class Here:
    """Stands for the process of a task: a peak of memory means nothing here but is a number."""

    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *args):
        self.result = lambda: function(*args)
        return self


def test_every_task_runs(benchmark, tmp_path, monkeypatch):
    out = tmp_path / 'out.csv'
    arguments = ['--quick', '--threads', '1', '--csv', str(out), '--plots', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['x', *arguments])
    benchmark.main()
    rows = list(csv.DictReader(out.open()))
    assert [row['task'] for row in rows] == [name for name in benchmark.TASKS for _ in range(2)]
    assert all(float(row['seconds']) > 0 for row in rows)
    assert not any(row['goal_s'] for row in rows)  # goals are of the full sizes
    assert {row['task'] for row in rows if row['of_pycocotools']} == {'metric by images'}
    assert len(list(tmp_path.glob('growth_*.png'))) == len(benchmark.TASKS)


def test_slope(benchmark):
    assert benchmark.slope([1, 2, 4], [3, 6, 12]) == pytest.approx(1)
    assert benchmark.slope([1, 2, 4], [1, 4, 16]) == pytest.approx(2)
    assert benchmark.sizes_of(7410) == [3705, 7410]


def test_detections_about_cells_are_found(benchmark):
    content, found = benchmark.draw_set(images=3, detections=30, classes=2)
    assert len(content['annotations']) == 9 and [len(rows) for rows in found] == [30] * 3
    results = benchmark.coco_results(found)
    assert len(results) == 90 and all(row['bbox'][2] > 0 for row in results)
