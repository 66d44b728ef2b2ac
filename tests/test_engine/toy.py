"""A training of milliseconds with all that is random: order, augmentation, dropout."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from ldwsccd_mmdet.engine import CellRunner

NUMBER = itertools.count()


class Points(Dataset):
    """8 points, moved by each generator that an augmentation may use."""

    metainfo = {'classes': ('a', 'b')}

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        moved = index + random.random() + np.random.rand() + torch.rand(3)
        return {'x': moved / 8, 'y': torch.tensor(index % 2)}


class Toy(BaseModel):
    """Backbone, head and, perhaps, a MIL head that scores."""

    def __init__(self, mil: bool = False, width: int = 4, source: str = 'ssd') -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))
        self.drop = nn.Dropout(0.5)
        self.bbox_head = nn.Linear(width, 2)
        self.mil_head = nn.Linear(width, 2) if mil else None
        self.score_source = source

    def forward(self, x: list, y: list, mode: str = 'tensor') -> Any:
        feats = self.drop(self.backbone(torch.stack(list(x))))
        out = self.bbox_head(feats)
        if mode == 'loss':
            loss = nn.functional.cross_entropy(out, torch.stack(list(y)))
            return {'loss_cls': loss}
        return [out]


class Score(BaseMetric):
    """Gives the scores it was made with, one a validation; an error is raised."""

    def __init__(self, *scores: Any) -> None:
        super().__init__()
        self.scores = list(scores)

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1)

    def compute_metrics(self, results: list) -> dict:
        score = self.scores.pop(0)
        if isinstance(score, BaseException):
            raise score
        return {'score': score}


class Killed(BaseException):
    """What no handler of errors catches, as a kill."""


def make_runner(
    folder: Path,
    *,
    epochs: int = 3,
    scores: tuple = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    workers: int = 0,
    resume: bool = False,
    load_from: str | None = None,
    hooks: tuple = (),
    checkpoint: dict | None = None,
    schedule: list | None = None,
    lr: float = 0.1,
    train: bool = True,
    model: nn.Module | None = None,
) -> CellRunner:
    torch.manual_seed(0)
    loader = {'dataset': Points(), 'batch_size': 2, 'collate_fn': {'type': 'default_collate'}}
    shuffled = {'type': 'DefaultSampler', 'shuffle': True}
    plain = {**loader, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}, 'num_workers': 0}
    training: dict[str, Any] = dict(
        train_dataloader={**loader, 'sampler': shuffled, 'num_workers': workers},
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        val_dataloader=plain,
        val_cfg={},
        val_evaluator=Evaluator([Score(*scores)]),
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': lr, 'momentum': 0.9}},
        param_scheduler=schedule or [{'type': 'CosineAnnealingLR', 'T_max': 6}],
    )
    test = dict(test_dataloader=plain, test_cfg={}, test_evaluator=Evaluator([Score(*scores)]))
    hook = {'type': 'CheckpointHook', 'interval': 1, 'max_keep_ckpts': 1, 'save_best': 'score'}
    return CellRunner(
        model or Toy(),
        str(folder),
        **(training if train else test),
        default_hooks={
            'checkpoint': {**hook, 'rule': 'greater', **(checkpoint or {})},
            'logger': {'type': 'LoggerHook', 'interval': 1},
        },
        custom_hooks=list(hooks),
        load_from=load_from,
        resume=resume,
        randomness={'seed': 3},
        experiment_name=f'toy_{next(NUMBER)}',
        default_scope='mmdet',
        log_level='INFO',
    )


def weights(runner: CellRunner) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def log_of(runner: CellRunner) -> str:
    return next(Path(runner.log_dir).glob('*.log')).read_text(encoding='utf-8')
