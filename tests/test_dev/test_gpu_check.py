"""`dev/gpu_check.py` on a CPU: the same paths, tiny; its figures."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gpu_check(monkeypatch):
    spec = importlib.util.spec_from_file_location('gpu_check', ROOT / 'dev' / 'gpu_check.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    spec.loader.exec_module(module)
    return module


def test_hours_of_the_papers_schedule(gpu_check):
    """120 epochs of 6,666 images at 16 images in half a second."""
    row = gpu_check.speed_row('step', 'float32', 16, 500.0, 1000.4, 'x', trains=True)
    assert row['hours_of_120_epochs'] == pytest.approx(120 * 6666 / 16 * 0.5 / 3600, abs=0.01)
    assert (row['images_per_s'], row['memory_mib']) == (32.0, 1000)


def test_a_difference_fails_the_check(gpu_check):
    one = torch.tensor([1.0, 2.0])
    assert gpu_check.difference(one + 0.25, one) == 0.25
    assert gpu_check.difference(one[:1], one) == float('inf')
    assert not gpu_check.check('x', '', 0.25, 0.1)['passed']
    assert not gpu_check.check('x', '', float('nan'), 0.1)['passed']


def test_without_a_gpu_it_says_so(gpu_check, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py'])
    with pytest.raises(SystemExit):
        gpu_check.main()
    assert '--device cpu --small' in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_operators_on_a_gpu(gpu_check):
    assert all(row['passed'] for row in gpu_check.operator_parity('cuda'))


@pytest.mark.slow
def test_whole_run_on_a_cpu(gpu_check, monkeypatch, tmp_path):
    arguments = ['--device', 'cpu', '--small', '--no-tests', '--out', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py', *arguments])
    assert gpu_check.main() == 0
    checks = list(csv.DictReader((tmp_path / 'gpu_checks.csv').open()))
    assert {row['passed'] for row in checks} == {'True'}
    assert {'AMP step', 'two processes on one card'} <= {row['check'] for row in checks}
    speed = list(csv.DictReader((tmp_path / 'gpu_speed.csv').open()))
    assert {row['what'] for row in speed} == {'distilled step', 'LD-WSCCD step', 'prediction'}
