"""The benchmark times whole predictions of what tools/compare.py trained."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from tests.runs import run_config
from tests.test_models.test_detectors.conftest import distillation_cfg, mil_cfg, student_cfg

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    path = ROOT / 'benchmarks' / 'prediction_latency.py'
    monkeypatch.syspath_prepend(path.parent)  # as for a script
    spec = importlib.util.spec_from_file_location('prediction_latency_benchmark', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.torch, 'set_num_threads', lambda _: None)
    return module


@pytest.fixture
def comparison(make_tiny_coco, tmp_path):
    """What tools/compare.py leaves: two models, and a folder of configs beside them."""
    register_all_modules()
    root = make_tiny_coco(tmp_path / 'data', 'val', num_images=2)
    plain = student_cfg()
    taught = student_cfg(
        teacher=dict(config='gone.py', checkpoint='gone.pth'),
        distillation=distillation_cfg(),
        mil_head=mil_cfg(),
    )
    for name, model in dict(ssd=plain, ldwsccd=taught).items():
        folder = tmp_path / name / 'seed_0'
        folder.mkdir(parents=True)
        student = MODELS.build({**model, 'teacher': None, 'distillation': None})
        student.init_weights()  # mmdet's L2Norm is whatever the memory held before
        weights = student.state_dict()
        if name == 'ldwsccd':  # a checkpoint also holds the adapters of the loss
            losses = MODELS.build(model['distillation']).state_dict(prefix='distillation.')
            weights |= losses
        content = dict(state_dict=weights, optimizer={}, meta=dict(epoch=1, iter=2))
        torch.save(content, folder / 'epoch_1.pth')
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
        config = run_config(model, root)
        config.dump(folder / f'{name}.py')
        (tmp_path / 'configs' / 'seed_0').mkdir(parents=True, exist_ok=True)
        config.dump(tmp_path / 'configs' / 'seed_0' / f'{name}.py')
    return tmp_path


def test_times_each_model_of_a_comparison(benchmark, comparison, monkeypatch):
    out = comparison / 'out.csv'
    monkeypatch.setattr(sys, 'argv', ['x', str(comparison), '--runs', '3', '--csv', str(out)])
    benchmark.main()
    rows = list(csv.DictReader(out.open()))
    assert [row['model'] for row in rows] == ['ldwsccd', 'ssd']
    for row in rows:
        low, median, high = (float(row[key]) for key in ('p25_ms', 'prediction_ms', 'p75_ms'))
        assert 0 < low <= median <= high
        assert row['checkpoint'] == 'epoch_1.pth'
        assert row['models_in_process'] == '2'


def test_takes_the_seed_that_is_asked_for(benchmark, comparison):
    one = comparison / 'ssd' / 'seed_0'
    assert benchmark.find_trainings([one], seed=1) == {'ssd': one}
    with pytest.raises(SystemExit, match='expected one config'):
        benchmark.find_trainings([comparison], seed=1)
