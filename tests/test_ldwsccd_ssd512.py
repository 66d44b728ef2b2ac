"""The paper's config at full size on real cells: real VGG16 weights, a few steps, a prediction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

import ldwsccd_mmdet  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared'
WEIGHTS = SHARED / 'weights' / 'vgg16_imagenet_ssdvgg.pth'
CRIC = SHARED / 'data' / 'cric'


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.is_file(), reason='needs ../shared/weights (ImageNet VGG16)')
@pytest.mark.skipif(not CRIC.is_dir(), reason='needs ../shared/data/cric')
def test_full_size_on_cric(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    register_all_modules(init_default_scope=False)
    init_default_scope('mmdet')
    torch.set_num_threads(2)
    cfg = Config.fromfile(ROOT / 'configs/ldwsccd_ssd512.py')
    teacher_cfg = Config.fromfile(ROOT / cfg.model.teacher.config).model
    teacher_cfg.backbone.init_cfg = None
    teacher = MODELS.build(teacher_cfg)
    teacher.init_weights()
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 'teacher.pth')
    cfg.model.teacher.checkpoint = str(tmp_path / 'teacher.pth')
    cfg.model.backbone.init_cfg.checkpoint = str(WEIGHTS)
    model = MODELS.build(cfg.model)
    model.init_weights()
    weights = torch.load(WEIGHTS, weights_only=True)
    weights = weights.get('state_dict', weights)
    torch.testing.assert_close(
        model.backbone.state_dict()['features.0.weight'], weights['features.0.weight']
    )

    # the paper's pipeline on CRIC's images; its six classes are six of the eleven labels
    dataset_cfg = cfg.train_dataloader.dataset
    dataset_cfg.update(
        data_root=str(CRIC),
        metainfo=dict(classes=('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc')),
        indices=4,
    )
    dataset = DATASETS.build(dataset_cfg)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    model.train()
    for step in range(3):
        batch = pseudo_collate([dataset[step], dataset[step + 1]])
        data = model.data_preprocessor(batch, training=True)
        assert data['inputs'].shape == (2, 3, 512, 512)
        losses = model(**data, mode='loss')
        total, _ = model.parse_losses(losses)
        assert torch.isfinite(total)
        assert {'loss_cls', 'loss_distill_fg', 'loss_mil', 'loss_refine_3'} <= set(losses)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 35)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        result = model(**model.data_preprocessor(batch), mode='predict')[0].pred_instances
    assert torch.isfinite(result.bboxes).all()
    assert len(result) > 0
