"""Every shipped config takes two steps in two gloo processes: minutes, see `make test-slow`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ldwsccd_mmdet.engine.config_file import load_config
from tests.two_steps import classes_of

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
FOLDERS = sorted({p.parent for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts})


def name_classes(content: dict) -> None:
    """Give each image the names of its classes, for configs that learn from these alone."""
    names = {category['id']: category['name'] for category in content['categories']}
    for image in content['images']:
        own = [row for row in content['annotations'] if row['image_id'] == image['id']]
        image['image_labels'] = sorted({names[row['category_id']] for row in own})


@pytest.mark.slow
@pytest.mark.parametrize('folder', FOLDERS, ids=lambda folder: folder.name)
def test_two_steps(folder: Path, tmp_path: Path, make_tiny_coco: Callable[..., Path]) -> None:
    """The second step fails where DDP waits for gradients of parameters that get none."""
    configs = sorted(folder.glob('*.py'))
    for classes in {classes_of(load_config(str(config))) for config in configs}:
        data = tmp_path / 'data' / '-'.join(classes)
        # as many images as a held-out tenth needs
        make_tiny_coco(data, num_images=10, size=(384, 384), classes=classes, edit=name_classes)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', 'ldwsccd.processes', '--nproc_per_node=2']
    command += [f'--master_port={port}', str(ROOT / 'tests' / 'two_steps.py'), str(tmp_path)]
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [*command, *map(str, configs)],
        capture_output=True,
        text=True,
        env=env,
        cwd=ROOT,
        timeout=7200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for config in configs:
        assert done.stdout.count(f'passed {config}') == 2, config
