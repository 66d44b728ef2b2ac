from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import DSODNet

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


def tiny(**kwargs):
    cfg = dict(stem_channels=(4, 4, 8), growth_rate=4, block_layers=(1, 2, 1, 1), last_channels=8)
    return DSODNet(**{**cfg, **kwargs})


@pytest.mark.parametrize('size', [(64, 96), (75, 50), (16, 16), (1, 1)])
def test_shapes(size):
    model = tiny().eval()
    assert model.out_channels == (20, 8)
    for out, channels, stride in zip(
        model(torch.randn(2, 3, *size)), model.out_channels, (8, 16), strict=True
    ):
        assert out.shape == (2, channels, *(-(-side // stride) for side in size))


def test_a_layer_is_its_formula():
    layer = tiny().blocks[1][0].eval()
    for norm in (layer.conv1.bn, layer.conv2.bn):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, layer.conv1.conv.in_channels, 5, 3)
    hidden = F.conv2d(F.relu(layer.conv1.bn(x)), layer.conv1.conv.weight)
    new = F.conv2d(F.relu(layer.conv2.bn(hidden)), layer.conv2.conv.weight, padding=1)
    assert hidden.shape[1] == 16 and new.shape[1] == 4
    torch.testing.assert_close(layer(x), torch.cat([x, new], dim=1))


def test_init_and_gradient():
    model = tiny().train()
    model.init_weights()
    sum(out.square().mean() for out in model(torch.randn(2, 3, 64, 64))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_dsod300_has_the_numbers_of_the_paper():
    """14.8 million for 20 classes, the statistics of the norm layers counted (table 4)."""
    cfg = Config.fromfile(CONFIGS / '_base_/models/dsod300.py').model
    cfg.bbox_head.num_classes = 20
    model = MODELS.build(cfg)  # mmdet's anchors cannot be made on the meta device
    parts = (model.backbone, model.neck)
    state = {k: v for k, v in model.state_dict().items() if 'num_batches_tracked' not in k}
    assert sum(value.numel() for value in state.values()) == 14_795_736
    assert sum(p.numel() for p in model.parameters()) == 14_715_804
    backbone, neck = (part.to('meta').eval() for part in parts)
    maps = neck(backbone(torch.empty(1, 3, 300, 300, device='meta')))
    assert model.backbone.out_channels == (800, 256)
    shapes = [(x.shape[1], x.shape[-1]) for x in maps]
    assert shapes == [(800, 38), (512, 19), (512, 10), (256, 5), (256, 3), (256, 2)]


@pytest.mark.parametrize('wrong', [dict(stem_channels=(4, 4)), dict(block_layers=(1, 1, 1))])
def test_errors(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        tiny(**wrong)
