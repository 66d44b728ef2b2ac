"""calibrate_distillation.py and browse_distillation.py on a tiny distilled SSD."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from ldwsccd.calibrate import read_shares
from ldwsccd.main import parse_args
from ldwsccd_mmdet.models.losses import foreground_mask
from ldwsccd_mmdet.visualization import distillation_pictures
from tests import commands
from tests.runs import run_config, write_config
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)

Run = Callable[..., int]


@pytest.fixture(scope='module')
def workplace(tmp_path_factory: pytest.TempPathFactory, make_tiny_coco: Callable) -> Path:
    """Config of a distilled SSD with its data and teacher; checkpoints of students."""
    register_all_modules(init_default_scope=True)
    folder = tmp_path_factory.mktemp('distillation_tools')
    root = make_tiny_coco(folder, 'train', num_images=6)
    make_tiny_coco(folder, 'val', num_images=2)
    teacher = zoo.save(teacher_model_cfg(), folder)
    parts = dict(
        teacher=dict(config=str(folder / 'teacher.py'), checkpoint=teacher['checkpoint']),
        distillation=distillation_cfg(feature_norm='standardize', level_weights=(1.0, 2.0, 0.5)),
        mil_head=mil_cfg(),
    )
    write_config(teacher['config'], folder / 'teacher.py')
    model = student_cfg(**parts)
    write_config(run_config(model, root), folder / 'distilled.py')
    write_config(run_config(student_cfg(), root), folder / 'plain.py')
    student = MODELS.build(model)
    student.init_weights()
    with torch.no_grad():
        for parameter in student.neck.parameters():
            parameter.mul_(1.5)
    state = student.state_dict()
    torch.save(dict(state_dict=state, meta={}), folder / 'student.pth')
    alone = {key: v for key, v in state.items() if not key.startswith(('distil', 'mil'))}
    torch.save(alone, folder / 'ssd.pth')
    return folder


@pytest.fixture
def run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a tool in this process, in the workplace; returns its exit code."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv('LOCAL_RANK', '0')

    def run_command(name: str, *arguments: object) -> int:
        return commands.run({'browse': 'browse-distillation'}.get(name, name), *arguments)

    return run_command


def numbers(line: str) -> list[float]:
    return [float(value) for value in re.findall(r'[\d.]+(?:e[+-]\d+)?', line)]


def shares_of(output: str) -> list[float]:
    """The row that says how much of the detection loss each term has, in percent."""
    line = next(line for line in output.splitlines() if line.strip('│ ').startswith('of detection'))
    return numbers(line)


def test_pasted_options_give_the_shares(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With batches, levels of other weights and all terms."""
    flags = ['distilled.py', '--batches', 2, '--seed', 3]
    assert run('calibrate', *flags, '--share', 0.2, 0.1, 0.025) == 0
    output = capsys.readouterr().out
    assert 'student as initialised: mean of 2 batches of 2' in output
    assert 'For foreground 20 %, background 10 %, attention 2.5 %:' in output
    line = output.strip().splitlines()[-1]
    assert line.startswith('--cfg-options model.distillation.alpha=')
    assert run('calibrate', *flags, *line.split()) == 0
    assert shares_of(capsys.readouterr().out) == pytest.approx([20, 10, 2.5], abs=0.11)


def test_table_adds_up(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run('calibrate', 'distilled.py', '--batches', 1) == 0
    output = capsys.readouterr().out
    rows = [line.strip('│ ').split('│') for line in output.splitlines() if line.startswith('│')]
    cells = [[numbers(cell)[0] for cell in row[4:10]] for row in rows[:3]]
    loss = dict(alpha=0.2, beta=0.1, gamma=0.1)
    for row, weight in zip(cells, (1.0, 2.0, 0.5), strict=True):
        for term, factor in enumerate(loss.values()):
            assert row[2 * term + 1] == pytest.approx(row[2 * term] * factor * weight, rel=2e-3)
    total = [numbers(cell)[0] for cell in rows[3][4:10]]
    np.testing.assert_allclose(total, np.sum(cells, axis=0), rtol=2e-3)
    detection = numbers(re.search(r'detection loss (\S+)', output)[1])[0]  # type: ignore[index]
    assert shares_of(output) == pytest.approx(
        [100 * value / detection for value in total[1::2]], abs=0.11
    )


def test_trained_student(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for flags in ([], ['--checkpoint', 'student.pth'], ['--checkpoint', 'ssd.pth']):
        assert run('calibrate', 'distilled.py', '--batches', 1, *flags) == 0
        outputs.append(capsys.readouterr().out)
    assert 'student of student.pth: mean' in outputs[1]
    assert 'student of ssd.pth (f as initialised)' in outputs[2]
    # one student, so one detection loss; another f, so other terms
    losses = [re.search(r'detection loss \S+', output)[0] for output in outputs]  # type: ignore
    assert losses[0] != losses[1] == losses[2]
    totals = [re.search(r'│ +all │.*', output)[0] for output in outputs]  # type: ignore[index]
    assert totals[1] != totals[2]


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['plain.py'], 'model.teacher: expected a dict, found None: this config distils nothing'),
        (
            ['distilled.py', '--cfg-options', 'model.type=SingleStageDetector'],
            "model.teacher: SingleStageDetector has no setting 'teacher'",
        ),
        (['distilled.py', '--checkpoint', 'gone.pth'], "checkpoint 'gone.pth' does not exist"),
        (
            ['distilled.py', '--checkpoint', 'teacher.pth'],
            '--checkpoint: teacher.pth is not of the student of this config',
        ),
        (
            ['distilled.py', '--cfg-options', 'model.distillation.level_weights=(0,0,0)'],
            'model.distillation.alpha: the foreground term is 0 in all batches',
        ),
        (['distilled.py', '--cfg-options', 'model.teacher.checkpoint=gone.pth'], 'expected a file'),
    ],
)
def test_calibrate_says_what_is_wrong(
    run: Run, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert run('calibrate', *flags) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('error: ') and message in last


def test_empty_data_set(
    run: Run, workplace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a box an SSD has no loss to be a share of."""
    shutil.copytree(workplace / 'tiny', tmp_path / 'tiny')
    file = tmp_path / 'tiny' / 'train.json'
    content = json.loads(file.read_text())
    file.write_text(json.dumps(dict(content, annotations=[])))
    options = ['--cfg-options', f'train_dataloader.dataset.data_root={tmp_path / "tiny"}']
    assert run('calibrate', 'distilled.py', '--batches', 1, *options) == 2
    assert 'has no box and no image label' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('texts', 'expected'),
    [
        ([], [0.1, 0.05, 0.05]),
        (['0.3', '0.2', '0'], [0.3, 0.2, 0.0]),
        (['bg=0'], [0.1, 0.0, 0.05]),
        (['attention=1', 'fg=2'], [2.0, 0.05, 1.0]),
    ],
)
def test_shares(texts: list[str], expected: list[float]) -> None:
    assert read_shares(texts) == expected


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--share', '0.1'], 'expected three numbers, found 1'),
        (['--share', 'alpha=1'], 'expected one of fg, bg, attention'),
        (['--share', 'fg=-1'], 'expected a number >= 0'),
        (['--share', 'fg=x'], 'could not convert'),
        (['--batches', '0'], '--batches: expected a whole number of 1 or more'),
    ],
)
def test_bad_flags(capsys: pytest.CaptureFixture[str], flags: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as raised:
        parse_args('calibrate', ['distilled.py', *flags])
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_browse_draws(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ['distilled.py', '--num', 2, '--out', tmp_path, '--levels', 0, '--dpi', 40]
    assert run('browse', *flags, '--checkpoint', 'student.pth') == 0
    files = sorted(tmp_path.glob('*.png'))
    assert [file.name for file in files] == ['00000_train_1.png', '00005_train_6.png']
    assert all(str(file) in capsys.readouterr().out for file in files[:1])
    with_image = cv2.imread(str(files[0]))
    assert with_image.shape[1] == 13 * 40
    assert run('browse', *flags, '--checkpoint', 'student.pth', '--no-image') == 0
    without = cv2.imread(str(files[0]))
    width = with_image.shape[1] // 4
    assert (with_image[:, :width] != without[:, :width]).any()
    assert (with_image[:, 2 * width :] == without[:, 2 * width :]).mean() > 0.95


def test_browse_masks_the_boxes_where_they_are(
    run: Run,
    workplace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files are 96 x 64, the network sees 64 x 64: boxes must follow, x by 2/3."""
    seen = []
    plot = distillation_pictures.plot_distillation_maps

    def record(maps, bboxes, input_size, image, title):
        seen.append((maps, bboxes, image, title))
        return plot(maps, bboxes, input_size, image, title=title)

    monkeypatch.setattr(distillation_pictures, 'plot_distillation_maps', record)
    assert run('browse', 'distilled.py', '--num', 1, '--out', tmp_path, '--split', 'val') == 0
    maps, bboxes, image, title = seen[0]
    content = json.loads((workplace / 'tiny' / 'val.json').read_text())
    truth = np.array([a['bbox'] for a in content['annotations'] if a['image_id'] == 1], float)
    truth[:, 2:] += truth[:, :2]
    truth[:, ::2] *= 2 / 3
    np.testing.assert_allclose(bboxes, truth, rtol=1e-6)
    for level, cells in zip(maps, (8, 4, 2), strict=True):
        expected = foreground_mask([torch.tensor(truth).float()], (cells, cells), (64, 64))
        assert torch.equal(level.mask, expected)
    # RGB: the field is pink
    assert image.shape == (64, 64, 3)
    np.testing.assert_allclose(image[0, 0].astype(int), (230, 190, 215), atol=3)
    assert title == 'val_1.jpg, 2 boxes; student as initialised'


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['distilled.py', '--levels', '3'], '--levels: expected numbers from 0 to 2'),
        (['distilled.py', '--levels', '-1'], '--levels: expected numbers from 0 to 2'),
        (['plain.py'], 'this config distils nothing'),
    ],
)
def test_browse_says_what_is_wrong(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert run('browse', *flags, '--out', tmp_path) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('error: ') and message in last
    assert not list(tmp_path.glob('*.png'))
