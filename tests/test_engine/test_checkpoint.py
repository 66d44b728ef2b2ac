"""Checkpoints of mmengine load with torch's safe loader; anything else is still refused."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from ldwsccd_mmdet.engine import CellRunner  # the import fills the allow-list


class Points(Dataset):
    metainfo = {'classes': ('a', 'b')}

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        return {'x': torch.full((3,), float(index)), 'y': torch.tensor(index % 2)}


class Linear(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 2), nn.BatchNorm1d(2)

    def forward(self, x: list, y: list, mode: str = 'tensor') -> Any:
        out = self.norm(self.linear(torch.stack(list(x))))
        if mode == 'loss':
            return {'loss': nn.functional.cross_entropy(out, torch.stack(list(y)))}
        return [out]


class NumpyScore(BaseMetric):
    """Gives numpy scalars, as COCO's metric does."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1)

    def compute_metrics(self, results: list) -> dict:
        return {'double': np.float64(0.5), 'single': np.float32(0.25), 'count': np.int64(3)}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with all that mmengine puts there: schedulers, log, EMA, best score."""
    folder = tmp_path_factory.mktemp('run')
    make_runner(folder).train()
    return folder / 'epoch_1.pth'


def make_runner(folder: Path, kind: type[Runner] = Runner, **settings: Any) -> Runner:
    loader = {'dataset': Points(), 'batch_size': 4, 'collate_fn': {'type': 'default_collate'}}
    return kind(
        Linear(),
        str(folder),
        train_dataloader={**loader, 'sampler': {'type': 'DefaultSampler', 'shuffle': True}},
        val_dataloader={**loader, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}},
        train_cfg={'by_epoch': True, 'max_epochs': 1},
        val_cfg={},
        val_evaluator=Evaluator([NumpyScore()]),
        optim_wrapper={
            'optimizer': {'type': 'AdamW', 'lr': 0.1, 'weight_decay': 0.1},
            'clip_grad': {'max_norm': 1.0},
            'paramwise_cfg': {'norm_decay_mult': 0.0},
        },
        param_scheduler=[
            {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'end': 3},
            {'type': 'MultiStepLR', 'milestones': [1]},
            {'type': 'CosineAnnealingLR', 'T_max': 3},
            {'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 10},
            {'type': 'PolyLR', 'end': 3},
            {'type': 'ReduceOnPlateauLR', 'monitor': 'double', 'rule': 'greater'},
        ],
        default_hooks={
            'checkpoint': {
                'type': 'CheckpointHook',
                'interval': 1,
                'save_best': 'double',
                'rule': 'greater',
            },
            'logger': {'type': 'LoggerHook', 'interval': 1},
        },
        custom_hooks=[{'type': 'EMAHook'}],
        randomness={'seed': 3},
        experiment_name=f'checkpoint_{folder.name}',
        log_level='ERROR',
        **settings,
    )


@pytest.mark.parametrize('kind', [Runner, CellRunner])
def test_resume_does_not_run_the_text_of_a_config(
    checkpoint: Path, tmp_path: Path, kind: type[Runner]
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['config'] = f'open({str(tmp_path / "made")!r}, "w")'
    torch.save(content, tmp_path / 'received.pth')
    runner = make_runner(tmp_path, kind, load_from=str(tmp_path / 'received.pth'), resume=True)
    runner.train()  # of one epoch, which the checkpoint has behind it
    assert runner.epoch == 1 and not (tmp_path / 'made').exists()


def test_checkpoint_of_mmengine_loads(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    assert {'state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'message_hub'} <= set(
        content
    )
    log = content['message_hub']['log_scalars']['train/loss']
    assert type(log) is HistoryBuffer  # mmengine takes no other
    assert log.data[0].shape == (2,) and log.mean() == pytest.approx(log.data[0].mean())
    assert torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint) == []


def test_loaded_checkpoint_can_be_saved_and_loaded_again(checkpoint: Path) -> None:
    file = io.BytesIO()
    torch.save(torch.load(checkpoint, weights_only=True), file)
    file.seek(0)
    again = torch.load(file, weights_only=True)
    assert type(again['message_hub']['log_scalars']['train/loss']) is HistoryBuffer


def test_annealing_function_survives(checkpoint: Path) -> None:
    states = torch.load(checkpoint, weights_only=True)['param_schedulers']
    anneal = [s['anneal_func'] for s in states if 'anneal_func' in s]
    assert len(anneal) == 1 and anneal[0](1.0, 0.0, 1.0) == pytest.approx(0.0)


class _Call:
    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def _dump(value: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save({'state_dict': {}, 'meta': value}, file)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        pytest.param(_Call(os.system, 'true'), 'system', id='shell'),
        pytest.param(_Call(eval, '1'), 'eval', id='eval'),
        pytest.param(_Call(getattr, torch.Tensor, 'numpy'), 'asks for attribute', id='getattr'),
        pytest.param(
            _Call(getattr, HistoryBuffer, '__init__'), "attribute '__init__'", id='dunder'
        ),
        pytest.param(
            _Call(getattr, HistoryBuffer.mean, '__globals__'), '__globals__', id='globals'
        ),
        pytest.param(np.array([{}], dtype=object), 'only numbers', id='object-array'),
        pytest.param(np.dtype([('a', 'O')]), 'only numbers', id='structured-dtype'),
    ],
)
def test_other_content_is_refused(value: Any, message: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=message):
        torch.load(_dump(value), weights_only=True)


def test_log_buffer_takes_numbers_only() -> None:
    buffer = HistoryBuffer([1.0], [1])
    buffer._log_history = 'not an array'
    with pytest.raises(pickle.UnpicklingError, match='not made of numbers'):
        torch.load(_dump(buffer), weights_only=True)


def test_log_buffer_cannot_replace_statistics() -> None:
    """The original ``__setstate__`` would take a file's functions for every later log."""
    before = dict(HistoryBuffer._statistics_methods)
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    HistoryBuffer._statistics_methods['mean'] = HistoryBuffer.max  # the state holds this table
    file = _dump(buffer)
    HistoryBuffer._statistics_methods.update(before)
    loaded = torch.load(file, weights_only=True)['meta']
    assert loaded.statistics('mean') == 2.0
    assert HistoryBuffer._statistics_methods == before


def test_numbers_of_all_types_load() -> None:
    types = ('bool', 'int8', 'uint8', 'int16', 'int32', 'int64', 'float16', 'float32', 'float64')
    values = {name: np.ones(2, name) for name in types}
    values |= {f'{name} scalar': np.dtype(name).type(1) for name in types}
    loaded = torch.load(_dump(values), weights_only=True)['meta']
    for name, value in values.items():
        assert np.array_equal(loaded[name], value) and loaded[name].dtype == value.dtype
