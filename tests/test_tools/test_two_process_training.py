"""LD-WSCCD on two processes: loss and gradients of one, and a resume that changes no bit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.utils import register_all_modules

from tests.commands import ROOT
from tests.runs import run_config, write_config
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)


def two_process_config(folder: Path, root: Path) -> None:
    """Write ``two.py``: an image for each process, two epochs, every hook that counts steps."""
    register_all_modules(init_default_scope=True)
    parts = dict(
        teacher=zoo.save(teacher_model_cfg(), folder),
        distillation=distillation_cfg(feature_norm='standardize'),
        mil_head=mil_cfg(dropout=0.0),
    )
    config = run_config(student_cfg(**parts), root)
    # every prior is a region: which of two with one score goes first must not matter
    config.model.train_cfg.proposal = dict(
        nms_pre=1000, nms=dict(type='nms', iou_threshold=1.0), max_per_img=1000
    )
    config.train_dataloader.batch_size = 1
    config.train_cfg.max_epochs = 2
    config.optim_wrapper.clip_grad = None
    config.default_hooks.checkpoint.save_best = None
    config.custom_hooks = [
        dict(type='DistillationGateHook'),
        dict(type='TeacherEvaluationHook'),
        dict(type='DistillationScheduleHook', warmup_iters=3),
        dict(type='EMAHook'),
    ]
    write_config(config, folder / 'two.py')


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory: pytest.TempPathFactory, make_tiny_coco: Callable) -> list[dict]:
    """What :mod:`tests.test_tools.two_processes` found, in each of its two processes."""
    folder = tmp_path_factory.mktemp('two')
    root = make_tiny_coco(folder, 'train')
    make_tiny_coco(folder, 'val', num_images=2)
    two_process_config(folder, root)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    script = Path(__file__).with_name('two_processes.py')
    own = dict(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [*command, f'--master_port={port}', str(script), 'two.py', 'two'],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f'two/rank_{rank}.pt', weights_only=True) for rank in (0, 1)]


def test_two_processes_give_loss_and_gradients_of_one(two_processes: list[dict]) -> None:
    """An image on each process, and both on one, to 1e-5: SSD, distillation and MIL loss.

    The two images match the same number of priors, being mirror images: mmdet's SSD loss divides by
    the matched priors of its own process, and is the same only for equal numbers.
    """
    losses, gradients = two_processes[0]['alone']
    shared = [process['shared'] for process in two_processes]
    assert {'loss_cls', 'loss_distill_fg', 'loss_mil', 'loss_refine_2'} <= set(losses)
    for name, loss in losses.items():
        mean = (shared[0][0][name] + shared[1][0][name]) / 2
        assert mean == pytest.approx(loss, rel=1e-5, abs=1e-5), name
    assert shared[0][0]['loss'] != shared[1][0]['loss']
    for name, gradient in gradients.items():
        scale = max(1.0, float(gradient.abs().max()))
        for _, found in shared:
            torch.testing.assert_close(
                found[name] / scale, gradient / scale, rtol=1e-5, atol=1e-5, msg=name
            )


def test_no_teacher_in_the_buckets(two_processes: list[dict]) -> None:
    """DDP reduces the student's parameters, and looks for no unused one."""
    for found in two_processes:
        assert found['world_size'] == 2
        assert found['num_in_ddp'] == found['num_trained'] > 0
        assert not found['find_unused_parameters']


def test_resume_in_the_middle_of_a_distributed_run(two_processes: list[dict]) -> None:
    for found in two_processes:
        assert found['resumed_steps'] == 2
        for name, value in found['straight'].items():
            torch.testing.assert_close(value, found['resumed'][name], rtol=0, atol=0, msg=name)
