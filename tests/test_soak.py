"""Long runs keep their memory: 10,000 iterations and 1,000 predictions, see `make test-slow`.

SOAK_ITERATIONS and SOAK_PREDICTIONS set other numbers; SOAK_CSV=results/soak.csv keeps what was
measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.hooks import Hook

from ldwsccd_mmdet.apis import CellInferencer
from ldwsccd_mmdet.engine import CellRunner
from ldwsccd_mmdet.experiments.half_the_boxes import merge_csv
from tests.runs import run_config, write_config
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)

ITERATIONS = int(os.environ.get('SOAK_ITERATIONS', 10_000))
PREDICTIONS = int(os.environ.get('SOAK_PREDICTIONS', 1_000))
#: Growth that is none, in MB, from a third of a run to its end: buffers of the log, pages freed.
FLAT = 40


def memory() -> float:
    """What this process has in memory, MB."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


class Watch(Hook):
    """Notes memory and loss of each iteration."""

    def __init__(self) -> None:
        self.memory: list[float] = []
        self.losses: list[float] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.memory.append(memory())
        self.losses.append(float(outputs['loss']))


def tenths(values: list[float]) -> tuple[float, float]:
    """Means of the third tenth and of the last, MB."""
    tenth = max(1, len(values) // 10)
    early, late = values[2 * tenth : 3 * tenth], values[-tenth:]
    return sum(early) / len(early), sum(late) / len(late)


def growth(values: list[float]) -> float:
    """From the mean of the third tenth to that of the last, MB."""
    early, late = tenths(values)
    return late - early


def keep(part: str, used: list[float], started: float) -> None:
    """Write what was measured into the CSV of SOAK_CSV, in place of an earlier row."""
    name = os.environ.get('SOAK_CSV')
    if not name:
        return
    early, late = tenths(used)
    row = dict(
        part=part,
        number=len(used),
        first_mb=f'{used[0]:.1f}',
        third_tenth_mb=f'{early:.1f}',
        last_tenth_mb=f'{late:.1f}',
        seconds=f'{time.monotonic() - started:.0f}',
    )
    merge_csv(Path(name), [row], tuple(row), ('part',))


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/statm').is_file(), reason='reads /proc')
def test_training(tmp_path: Path, make_tiny_coco: Callable[..., Path]) -> None:
    """The whole method: distillation, MIL head, mixed data."""
    register_all_modules(init_default_scope=True)
    root = make_tiny_coco(tmp_path, 'train', num_images=8)
    make_tiny_coco(tmp_path, 'val', num_images=2)
    teacher = zoo.save(teacher_model_cfg(), tmp_path)
    model = student_cfg(teacher=teacher, distillation=distillation_cfg(), mil_head=mil_cfg())
    config = run_config(model, root)
    config.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    config.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=max(1, ITERATIONS // 4)
    )
    config.param_scheduler = []
    config.default_hooks.logger.interval = 50
    config.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=max(1, ITERATIONS // 20), max_keep_ckpts=2
    )
    config.work_dir = str(tmp_path / 'run')
    config.experiment_name = 'soak'
    watch = Watch()
    runner = CellRunner.from_cfg(config)
    runner.register_hook(watch)
    started = time.monotonic()
    runner.train()
    keep('iterations', watch.memory, started)
    assert len(watch.memory) == ITERATIONS
    assert all(loss < float('inf') for loss in watch.losses)  # NaN is not below it either
    assert growth(watch.memory) < FLAT
    files = [file.name for file in (tmp_path / 'run').glob('iter_*.pth')]
    assert len(files) <= 2  # old checkpoints are gone


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/statm').is_file(), reason='reads /proc')
def test_predictions(tmp_path: Path, make_tiny_coco: Callable[..., Path]) -> None:
    """One detector that is asked again and again, by images of several sizes."""
    register_all_modules(init_default_scope=True)
    root = make_tiny_coco(tmp_path, 'train', num_images=4)
    make_tiny_coco(tmp_path, 'val', num_images=2)
    write_config(run_config(student_cfg(), root), tmp_path / 'plain.py')
    model = MODELS.build(student_cfg())
    for part in (model.backbone, model.neck, model.bbox_head):
        part.init_weights()
    meta = dict(dataset_meta=dict(classes=('lsil', 'hsil', 'scc')))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'plain.pth')
    detector = CellInferencer(str(tmp_path / 'plain.py'), str(tmp_path / 'plain.pth'), 'cpu')
    images = [cv2.imread(str(path)) for path in sorted((root / 'images').glob('train_*.jpg'))]
    images.append(cv2.resize(images[0], (200, 130)))
    first = [detector.detect([image])[0] for image in images]
    used = []
    started = time.monotonic()
    for index in range(PREDICTIONS):
        found = detector.detect([images[index % len(images)]])[0]
        used.append(memory())
        same = first[index % len(images)]
        assert len(found) == len(same) and (found.scores == same.scores).all(), index
    keep('predictions', used, started)
    assert growth(used) < FLAT
