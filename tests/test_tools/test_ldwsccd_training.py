"""LD-WSCCD as a user runs it: teacher, student, test, resume, inference, two processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from tests.runs import run_config
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)

ROOT = Path(__file__).resolve().parents[2]


def tool(
    folder: Path, *arguments: object, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=folder,
        env={
            **os.environ,
            'CUDA_VISIBLE_DEVICES': '',
            'OMP_NUM_THREADS': '1',
            'PYTHON': sys.executable,
            **(env or {}),
        },
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def scalars(work_dir: Path) -> list[dict]:
    """Training log of the newest run in a work dir, one dict a step."""
    newest = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    return [line for line in lines if 'loss' in line]


@pytest.fixture(scope='module')
def workplace(tmp_path_factory: pytest.TempPathFactory, make_tiny_coco: Callable) -> Path:
    """Configs of teacher, LD-WSCCD and plain SSD, after teacher and LD-WSCCD were trained."""
    folder = tmp_path_factory.mktemp('ldwsccd')
    root = make_tiny_coco(folder, 'train')
    make_tiny_coco(folder, 'val', num_images=2)
    parts = dict(
        teacher=dict(config='teacher.py', checkpoint='work_dirs/teacher/epoch_1.pth'),
        distillation=distillation_cfg(feature_norm='standardize'),
        mil_head=mil_cfg(),
    )
    run_config(teacher_model_cfg(), root).dump(folder / 'teacher.py')
    run_config(student_cfg(**parts), root).dump(folder / 'ldwsccd.py')
    run_config(student_cfg(type='SingleStageDetector'), root).dump(folder / 'ssd.py')
    tool(folder, sys.executable, ROOT / 'tools/train.py', 'teacher.py')
    tool(folder, sys.executable, ROOT / 'tools/train.py', 'ldwsccd.py', '--amp')
    return folder


def test_training_logs_every_part(workplace: Path) -> None:
    steps = scalars(workplace / 'work_dirs/ldwsccd')
    assert len(steps) == 2
    for key in (
        'loss_cls',
        'loss_distill_fg',
        'loss_distill_attention',
        'loss_mil',
        'loss_refine_2',
    ):
        assert all(np.isfinite(step[key]) for step in steps)


def test_checkpoint_holds_no_teacher(workplace: Path) -> None:
    state = torch.load(
        workplace / 'work_dirs/ldwsccd/epoch_1.pth', map_location='cpu', weights_only=True
    )['state_dict']
    parts = {key.split('.')[0] for key in state}
    assert parts == {'backbone', 'neck', 'bbox_head', 'distillation', 'mil_head'}


def test_test_tool_needs_no_teacher(workplace: Path, tmp_path: Path) -> None:
    out = tool(
        workplace,
        sys.executable,
        ROOT / 'tools/test.py',
        'ldwsccd.py',
        'work_dirs/ldwsccd/epoch_1.pth',
        '--out',
        tmp_path / 'out.pkl',
        '--cfg-options',
        'model.teacher.checkpoint=gone.pth',
        'model.teacher.config=gone.py',
    )
    assert 'coco/bbox_mAP_50' in out.stdout
    assert (tmp_path / 'out.pkl').stat().st_size > 0


def test_plain_ssd_loads_the_checkpoint(workplace: Path) -> None:
    out = tool(
        workplace, sys.executable, ROOT / 'tools/test.py', 'ssd.py', 'work_dirs/ldwsccd/epoch_1.pth'
    )
    text = out.stdout + out.stderr
    assert 'coco/bbox_mAP_50' in text
    assert 'missing keys' not in text
    assert 'unexpected key' in text  # the MIL head and the 1 x 1 convolutions, which it lacks


def test_resume_goes_on(workplace: Path) -> None:
    tool(
        workplace,
        sys.executable,
        ROOT / 'tools/train.py',
        'ldwsccd.py',
        '--amp',
        '--resume',
        '--cfg-options',
        'train_cfg.max_epochs=2',
    )
    steps = scalars(workplace / 'work_dirs/ldwsccd')
    assert [step['epoch'] for step in steps] == [2, 2]
    assert [step['step'] for step in steps] == [3, 4]


def test_inference(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmdet.apis import inference_detector, init_detector

    monkeypatch.chdir(workplace)
    checkpoint = sorted((workplace / 'work_dirs/ldwsccd').glob('epoch_*.pth'))[0]
    model = init_detector('ldwsccd.py', str(checkpoint), device='cpu')
    result = inference_detector(model, np.full((96, 64, 3), 200, np.uint8))
    assert result.pred_instances.bboxes.shape[1] == 4


@pytest.fixture(scope='module')
def two_processes(workplace: Path) -> list[dict]:
    """What :mod:`tests.test_tools.two_processes` found, in each of its two processes."""
    config = Config.fromfile(workplace / 'ldwsccd.py')
    config.model.mil_head.dropout = 0.0
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
    config.dump(workplace / 'two.py')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name('two_processes.py')
    tool(
        workplace,
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--nproc_per_node',
        2,
        '--master_port',
        port,
        script,
        'two.py',
        'two',
        env=dict(PYTHONPATH=str(ROOT)),
    )
    return [torch.load(workplace / f'two/rank_{rank}.pt', weights_only=True) for rank in (0, 1)]


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


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['model.teacher.checkpoint=gone.pth'], 'model.teacher.checkpoint: expected a file'),
        (['model.teacher.config=gone.py'], 'model.teacher.config: expected a config file'),
        (['model.mil_head.loss_weight.refine=nan'], 'non-finite loss: loss_refine_1 = nan'),
        (
            ['model.distillation.teacher_channels=(16,32,9)'],
            r'teacher_channels[2] is 9, but the teacher gives 8 channels',
        ),
    ],
)
def test_bad_teacher_is_one_line(workplace: Path, options: list[str], message: str) -> None:
    done = tool(
        workplace,
        sys.executable,
        ROOT / 'tools/train.py',
        'ldwsccd.py',
        '--work-dir',
        'bad',
        '--cfg-options',
        *options,
        check=False,
    )
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith('error:')]
    assert len(errors) == 1
    assert message in errors[0]
    assert 'Traceback' not in done.stderr
