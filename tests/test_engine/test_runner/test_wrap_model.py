"""What the runner does before a model is wrapped for several processes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmdet.models.backbones import CSPDarknet, MobileNetV2, ResNet
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch import nn

from ldwsccd_mmdet.engine.runner import CellRunner


@pytest.fixture
def wrap(monkeypatch: pytest.MonkeyPatch):
    """``wrap(model)``: the model as mmengine's runner gets it to wrap, in two processes."""

    def wrapped(self: Any, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        return model

    monkeypatch.setattr(Runner, 'wrap_model', wrapped)
    logger = MMLogger.get_instance('test_wrap_model', logger_name='test_wrap_model')

    def wrap(model: nn.Module) -> nn.Module:
        runner = CellRunner.__new__(CellRunner)
        runner.__dict__.update(cfg=Config(), logger=logger, _distributed=True)
        return runner.wrap_model(None, model)

    return wrap


def test_backbone_is_frozen_before_it_is_wrapped(wrap) -> None:
    """mmdet freezes in ``train()``; DDP would wait for gradients of what it saw trainable."""

    def trained(model: nn.Module) -> set[str]:
        return {name for name, p in model.named_parameters() if p.requires_grad}

    model = MobileNetV2(widen_factor=0.25, out_indices=(1,), frozen_stages=1)
    before = trained(model)
    wrapped = wrap(model)
    first = trained(wrapped)
    wrapped.train()
    assert first == trained(wrapped) and first < before


@pytest.mark.parametrize(
    'backbone',
    [
        MobileNetV2(widen_factor=0.25, out_indices=(2, 4, 6)),
        MobileNetV2(widen_factor=0.25, out_indices=(6,)),
        MobileNetV2(widen_factor=0.25, out_indices=(2, 4, 7)),
        CSPDarknet(deepen_factor=0.1, widen_factor=0.1, out_indices=(1, 2)),
        ResNet(18, base_channels=4, stem_channels=4, out_indices=(0, 1)),
    ],
    ids=lambda backbone: f'{type(backbone).__name__}{backbone.out_indices}',
)
def test_what_is_trained_gets_a_gradient(wrap, backbone: nn.Module) -> None:
    """DDP waits for each of them: layers behind the last output get none."""
    wrapped = wrap(backbone)
    sum(part.sum() for part in wrapped(torch.rand(2, 3, 64, 64))).backward()
    without = [n for n, p in wrapped.named_parameters() if p.requires_grad and p.grad is None]
    frozen = [n for n, p in wrapped.named_parameters() if not p.requires_grad]
    assert without == []
    assert bool(frozen) == (max(backbone.out_indices) in (6, 2, 1))


def test_sync_batch_norm_on_a_cpu(wrap, monkeypatch: pytest.MonkeyPatch) -> None:
    from ldwsccd_mmdet.engine.runner import cell_runner

    monkeypatch.setattr(cell_runner, 'get_device', lambda: 'cpu')
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4))
    found = wrap(model)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in found.modules())
    assert found(torch.zeros(1, 3, 2, 2)).shape == (1, 4, 2, 2)
    monkeypatch.setattr(cell_runner, 'get_device', lambda: 'cuda')
    kept = wrap(nn.Sequential(nn.SyncBatchNorm(4)))
    assert isinstance(kept[0], nn.SyncBatchNorm)
