"""The benchmark runs every side, tells its parts apart, and takes ratios round by round."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

SHOWN = ('mmdet', 'ssd', 'ldm', 'mined')
PATH = Path(__file__).parents[2] / 'benchmarks' / 'training_step.py'


@pytest.fixture(scope='module')
def benchmark():
    sys.path.insert(0, str(PATH.parent))  # as for a script
    spec = importlib.util.spec_from_file_location('training_step_benchmark', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(PATH.parent))
    return module


@pytest.fixture(scope='module')
def rows(benchmark, tmp_path_factory):
    out = tmp_path_factory.mktemp('training_step') / 'out.csv'
    arguments = ['--size', '64', '--batch', '2', '--steps', '1', '--csv', str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['x', *arguments, '--threads', '1'])
        patch.setattr(benchmark.torch, 'set_num_threads', lambda _: None)
        patch.setattr(benchmark, 'SIDES', {name: benchmark.SIDES[name] for name in SHOWN})
        benchmark.main()
    return {row['side']: row for row in csv.DictReader(out.open())}


def test_every_side_runs(benchmark, rows):
    assert set(rows) == {*SHOWN, 'teacher'}
    assert all(float(row['step_ms']) > 0 for row in rows.values())
    assert {name for name, row in rows.items() if row['goal']} == {'ssd', 'ldm', 'mined'}


def test_only_parts_that_a_side_has_take_time(rows):
    everywhere = {'data', 'student_forward', 'student_loss', 'backward', 'optimizer'}
    mil = {'proposals', 'roi_features', 'fully_connected', 'seeds_and_losses'}
    ldm = {'teacher', 'distillation'}
    for name, own in (
        ('mmdet', everywhere),
        ('ldm', everywhere | ldm),
        ('mined', everywhere | mil | ldm),
    ):
        found = {
            key.removesuffix('_ms')
            for key, value in rows[name].items()
            if key.endswith('_ms') and key not in ('p25_ms', 'step_ms', 'p75_ms', 'other_ms')
            if float(value) > 0
        }
        assert found == own, name


def test_ratio_is_the_median_of_the_rounds(benchmark):
    ratio = benchmark.ratio_in_turns([2.0, 3.0, 8.0], [1.0, 2.0, 2.0], [1.0, 1.0, 2.0])
    assert ratio == 1  # of 1, 1 and 2


def test_time_inside_another_part_counts_once(benchmark, monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(benchmark.time, 'perf_counter', lambda: next(clock))
    profile = benchmark.Profile('cpu')
    profile.on = True
    with profile.part('other'), profile.part('backward'):
        pass
    taken = profile.take()
    assert (taken['other'], taken['backward']) == (1000 + 4000, 2000)
    assert not any(profile.take().values())


@pytest.mark.slow
def test_several_processes_train_one_batch(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(PATH.parent)
    benchmark = importlib.import_module('training_step')  # by the name that its processes know
    sides = {name: benchmark.SIDES[name] for name in ('ssd', 'ldm', 'ldwsccd')}
    monkeypatch.setattr(benchmark, 'SIDES', sides)
    monkeypatch.setattr(benchmark.torch, 'set_num_threads', lambda _: None)
    out = tmp_path / 'out.csv'
    # a norm over one image of one cell is none
    arguments = ['--size', '64', '--batch', '4', '--steps', '1', '--processes', '2']
    monkeypatch.setattr(sys, 'argv', ['x', *arguments, '--csv', str(out)])
    benchmark.main()
    rows = {row['side']: row for row in csv.DictReader(out.open())}
    assert float(rows['ldwsccd, 2 processes']['step_ms']) > 0
