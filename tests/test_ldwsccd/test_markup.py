"""Class names are text: what looks like rich's markup neither vanishes nor ends a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from ldwsccd import doctor, recall
from ldwsccd_mmdet.evaluation.metrics import checked_coco_metric
from ldwsccd_mmdet.preparation.checks.finding import Finding
from tests import commands

NAMES = ('[high]', '[/b]', '[red]x[/red]', ':smile:', 'a\\', '\\[b]')


@pytest.fixture
def root(tiny_coco: Callable[..., Path]) -> Path:
    return tiny_coco('train', num_images=3, boxes_per_image=6, classes=NAMES)


def test_doctor(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.run('doctor', root / 'train.json', '--annotations-only') in (0, 1)
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)


def test_audit(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.run('audit', root / 'train.json')
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)


def test_table_of_recall() -> None:
    found = SimpleNamespace(nums=[10], num_cells=np.arange(7), mean_regions=[3.0])
    result = SimpleNamespace(recall=found, regions=[1], seconds=0.1)
    header = ['proposer', 'regions', 'IoU', 'all', *NAMES]
    row = ['a', '10', '0.5', *['1.0'] * (1 + len(NAMES))]
    console = Console(emoji=False, width=200)
    with console.capture() as said:
        console.print(recall.table_of('a', 'val', result, header, [row]))
    assert all(name in said.get() for name in NAMES)


def test_tables_of_metrics(root: Path) -> None:
    rows = {'mAP': np.full(len(NAMES), 0.5)}
    said = checked_coco_metric._table(NAMES, rows)
    assert all(name in said for name in NAMES)


def test_findings_and_remedies() -> None:
    finding = Finding('x', 'error', '[/b] of [high]', 'see [/red]', [{'image': '[/i]'}])
    console = Console(emoji=False, width=200)
    with console.capture() as said:
        for line in doctor.lines_of(finding):
            console.print(line, soft_wrap=True, highlight=False)
    assert all(text in said.get() for text in ('[/b] of [high]', 'see [/red]', '[/i]'))
