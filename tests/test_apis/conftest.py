"""A small shipped student with random weights, as mmengine saves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('platelet', 'red', 'white')


class Trained(NamedTuple):
    """A config file, and a checkpoint that holds its config."""

    config: str
    checkpoint: str


def save_trained(folder: Path, path: str, **meta: Any) -> Trained:
    """Build a shipped config with random weights that do find something."""
    import torch
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import ldwsccd_mmdet  # noqa: F401
    from ldwsccd_mmdet.engine.config_file import TEACHING_PARTS

    config = Config.fromfile(ROOT / path)
    config.pop('work_dir', None)
    config.model.test_cfg.update(score_thr=0.2, max_per_img=60)
    if config.model.get('teacher'):  # all that it may teach: none of it is there at test
        config.model.logit_distillation = dict(type='LogitDistillationLoss')
    config.dump(str(folder / 'config.py'))
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build({**config.model, **dict.fromkeys(TEACHING_PARTS)})
    # norms that fit an image, as after training: else activations are huge, and scores 0 or 1
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()
        model.extract_feat(60 * torch.randn(2, 3, 256, 256))
        model.eval()
        for level in model.bbox_head.cls_convs:
            level[-1].weight.mul_(4)
    content = {
        'state_dict': {**model.state_dict(), 'distillation.f.weight': torch.zeros(1)},
        'optimizer': {'state': {}},
        'message_hub': {'runtime_info': {'cfg': config.pretty_text}},
        'meta': {'cfg': config.pretty_text, 'dataset_meta': {'classes': CLASSES, **meta}},
    }
    torch.save(content, folder / 'epoch_1.pth')
    return Trained(str(folder / 'config.py'), str(folder / 'epoch_1.pth'))


@pytest.fixture(scope='session')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A plain SSD256."""
    folder = tmp_path_factory.mktemp('trained')
    return save_trained(folder, 'configs/ldwsccd/ssd256-narrow_bccd.py', mpp=0.25)


@pytest.fixture(scope='session')
def trained_both(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """LD-WSCCD: with MIL head, and a config that names a teacher that is not there."""
    folder = tmp_path_factory.mktemp('both')
    return save_trained(folder, 'configs/ldwsccd/ldwsccd_ssd256-narrow_bccd.py')


@pytest.fixture(scope='session')
def fields() -> list[np.ndarray]:
    """Three images of different sizes, BGR."""
    rng = np.random.default_rng(0)
    images = []
    for size in ((240, 320), (256, 256), (410, 300)):
        image = np.full((*size, 3), (215, 190, 230), np.uint8)
        for _ in range(25):
            centre = (int(rng.integers(size[1])), int(rng.integers(size[0])))
            color = tuple(int(value) for value in rng.integers(20, 200, 3))
            cv2.circle(image, centre, int(rng.integers(5, 30)), color, -1)
        images.append(image)
    return images
