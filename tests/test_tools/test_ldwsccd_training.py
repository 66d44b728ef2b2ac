"""LD-WSCCD as a user runs it: teacher, student, test, resume, inference, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.commands import run_door
from tests.runs import run_config, write_config
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)


def scalars(work_dir: Path) -> list[dict]:
    """Training log of the newest run in a work dir, one dict a step."""
    newest = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    return [line for line in lines if 'loss' in line]


@pytest.fixture(scope='module')
def workplace(tmp_path_factory: pytest.TempPathFactory, make_tiny_coco: Callable) -> Iterator[Path]:
    """Configs of teacher, LD-WSCCD and plain SSD, after teacher and LD-WSCCD were trained."""
    folder = tmp_path_factory.mktemp('ldwsccd')
    root = make_tiny_coco(folder, 'train')
    make_tiny_coco(folder, 'val', num_images=2)
    parts = dict(
        teacher=dict(config='teacher.py', checkpoint='work_dirs/teacher/epoch_1.pth'),
        distillation=distillation_cfg(feature_norm='standardize'),
        mil_head=mil_cfg(),
    )
    write_config(run_config(teacher_model_cfg(), root), folder / 'teacher.py')
    write_config(run_config(student_cfg(**parts), root), folder / 'ldwsccd.py')
    write_config(run_config(student_cfg(type='SingleStageDetector'), root), folder / 'ssd.py')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('LOCAL_RANK', '0')
        assert run_door('tools/train.py', 'teacher.py') == 0
        assert run_door('tools/train.py', 'ldwsccd.py', '--amp') == 0
        yield folder


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


@pytest.mark.usefixtures('workplace')
def test_test_tool_needs_no_teacher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_door(
        'tools/test.py',
        'ldwsccd.py',
        'work_dirs/ldwsccd/epoch_1.pth',
        '--out',
        tmp_path / 'out.pkl',
        '--cfg-options',
        'model.teacher.checkpoint=gone.pth',
        'model.teacher.config=gone.py',
    )
    assert code == 0
    assert 'coco/bbox_mAP_50' in capsys.readouterr().out
    assert (tmp_path / 'out.pkl').stat().st_size > 0


@pytest.mark.usefixtures('workplace')
def test_plain_ssd_loads_the_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_door('tools/test.py', 'ssd.py', 'work_dirs/ldwsccd/epoch_1.pth') == 0
    text = ''.join(capsys.readouterr())
    assert 'coco/bbox_mAP_50' in text
    assert 'missing keys' not in text
    assert 'unexpected key' in text  # the MIL head and the 1 x 1 convolutions, which it lacks


def test_resume_goes_on(workplace: Path) -> None:
    options = ('--amp', '--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    assert run_door('tools/train.py', 'ldwsccd.py', *options) == 0
    steps = scalars(workplace / 'work_dirs/ldwsccd')
    assert [step['epoch'] for step in steps] == [2, 2]
    assert [step['step'] for step in steps] == [3, 4]


def test_inference(workplace: Path) -> None:
    from mmdet.apis import inference_detector, init_detector

    checkpoint = sorted((workplace / 'work_dirs/ldwsccd').glob('epoch_*.pth'))[0]
    model = init_detector('ldwsccd.py', str(checkpoint), device='cpu')
    result = inference_detector(model, np.full((96, 64, 3), 200, np.uint8))
    assert result.pred_instances.bboxes.shape[1] == 4


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['model.teacher.checkpoint=gone.pth'], 'model.teacher.checkpoint: expected a file'),
        (['model.teacher.config=gone.py'], 'model.teacher.config: expected a config file'),
        (['model.mil_head.loss_weight.refine=nan'], 'loss_weight.refine: expected a number'),
        (
            ['model.distillation.teacher_channels=(16,32,9)'],
            r'teacher_channels[2] is 9, but the teacher gives 8 channels',
        ),
    ],
)
@pytest.mark.usefixtures('workplace')
def test_bad_teacher_is_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ('--work-dir', 'bad', '--cfg-options', *options)
    assert run_door('tools/train.py', 'ldwsccd.py', *arguments) == 2
    said = capsys.readouterr().err
    errors = [line for line in said.splitlines() if line.startswith('error:')]
    assert len(errors) == 1
    assert message in errors[0]
    assert 'Traceback' not in said
