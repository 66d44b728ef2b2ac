"""TensorBoard is one key of a config, as docs/report.md says, and the page stays."""

from __future__ import annotations

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


def test_tensorboard(tmp_path: Path, tiny_coco: Callable[..., Path], monkeypatch) -> None:
    events = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator', reason='needs tensorboard'
    )
    root = tiny_coco('train')
    tiny_coco('val', num_images=2)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(tmp_path)
    Path('tiny.py').write_text(CONFIG.replace('ROOT', str(root)))
    Path('mine.py').write_text(f"_base_ = 'tiny.py'\n{documented_key()}\n")
    assert commands.run('train', 'mine.py') == 0
    folder = tmp_path / 'work_dirs' / 'mine'
    read = events.EventAccumulator(str(next(folder.glob('*/vis_data'))))
    read.Reload()
    assert len(read.Scalars('loss')) == 2 and read.Scalars('coco/bbox_mAP_50')
    assert (folder / 'report.html').is_file()
