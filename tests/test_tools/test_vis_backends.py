"""TensorBoard and W&B are one key of a config, as docs/report.md says, and the page stays."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import commands
from tests.test_tools.test_train_test import CONFIG

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'report.md'


def documented_key() -> str:
    """What the page tells to add to a config."""
    lines = PAGE.read_text(encoding='utf-8').splitlines()
    start = lines.index('    visualizer = dict(')
    return textwrap.dedent('\n'.join(lines[start : lines.index('    )', start) + 1]))


@pytest.fixture
def trained(tmp_path: Path, tiny_coco: Callable[..., Path], monkeypatch) -> Callable[[str], Path]:
    """Train with a backend in the place of the documented one; gives the run's ``vis_data``."""
    root = tiny_coco('train')
    tiny_coco('val', num_images=2)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(tmp_path)

    def train(backend: str) -> Path:
        key = documented_key().replace('TensorboardVisBackend', backend)
        Path('tiny.py').write_text(CONFIG.replace('ROOT', str(root)))
        # mmengine keeps a visualizer of a process by its name
        name = f"visualizer['name'] = '{backend}'"
        Path('mine.py').write_text(f"_base_ = 'tiny.py'\n{key}\n{name}\n")
        assert backend in key and commands.run('train', 'mine.py') == 0
        folder = tmp_path / 'work_dirs' / 'mine'
        assert (folder / 'report.html').is_file()
        return next(folder.glob('*/vis_data'))

    return train


def test_tensorboard(trained: Callable[[str], Path]) -> None:
    events = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator', reason='needs tensorboard'
    )
    read = events.EventAccumulator(str(trained('TensorboardVisBackend')))
    read.Reload()
    assert len(read.Scalars('loss')) == 2 and read.Scalars('coco/bbox_mAP_50')


def test_wandb_offline(trained: Callable[[str], Path], tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip('wandb', reason='needs wandb')
    settings = {'WANDB_MODE': 'offline', 'WANDB_SILENT': 'true'}
    folders = {f'WANDB_{name}_DIR': str(tmp_path / name) for name in ('CACHE', 'CONFIG', 'DATA')}
    for name, value in (settings | folders).items():
        monkeypatch.setenv(name, value)
    folder = trained('WandbVisBackend')
    kept = next(folder.glob('wandb/offline-run-*/*.wandb')).read_bytes()
    assert b'coco/bbox_mAP_50' in kept
    losses = [
        row['loss']
        for row in map(json.loads, (folder / 'scalars.json').read_text().splitlines())
        if 'loss' in row
    ]
    assert len(losses) == 2 and all(str(loss).encode() in kept for loss in losses)
