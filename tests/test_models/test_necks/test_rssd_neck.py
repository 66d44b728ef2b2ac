from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import RSSDHead, RSSDNeck
from tests.test_models.helpers import head_cfg

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


def neck():
    model = RSSDNeck(
        in_channels=(4, 6),
        out_channels=(4, 6, 3),
        level_strides=(2,),
        level_paddings=(1,),
        l2_norm_scale=None,
    )
    model.init_weights()
    return model


@pytest.mark.parametrize('size', [(8, 12), (10, 6), (7, 5), (1, 1)])
def test_is_the_formula(size):
    model = neck().eval()
    for norm in (norm for level in model.norms for norm in level):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    half = tuple(-(-side // 2) for side in size)
    inputs = (torch.randn(2, 4, *size), torch.randn(2, 6, *half))
    x = [*inputs, model.extra_layers[0](inputs[1])]
    sizes = [m.shape[-2:] for m in x]

    def to(level, m):
        if m.shape[-2:] == sizes[level]:
            return m
        return F.interpolate(m, size=sizes[level], mode='bilinear', align_corners=False)

    d, n = model.deconvs, model.norms
    x1_to_0 = to(0, d[1][0](x[1]))
    x2_to_1 = to(1, d[2][0](x[2]))
    x2_to_0 = to(0, d[2][1](x2_to_1))
    x0_to_1 = F.adaptive_max_pool2d(x[0], sizes[1])
    x0_to_2 = F.adaptive_max_pool2d(x0_to_1, sizes[2])
    x1_to_2 = F.adaptive_max_pool2d(x[1], sizes[2])
    parts = [[x[0], x1_to_0, x2_to_0], [x0_to_1, x[1], x2_to_1], [x0_to_2, x1_to_2, x[2]]]
    assert model.rainbow_channels == 13
    for level, out in enumerate(model(inputs)):
        normed = [norm(part) for norm, part in zip(n[level], parts[level], strict=True)]
        torch.testing.assert_close(out, torch.cat(normed, dim=1))


def test_pooling_of_even_sizes_is_2_by_2():
    x = torch.randn(1, 2, 8, 6)
    assert torch.equal(F.adaptive_max_pool2d(x, (4, 3)), F.max_pool2d(x, 2))


def test_gradient():
    model = neck().train()
    outs = model((torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4)))
    sum((out * torch.randn_like(out)).mean() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_config_has_the_sum_of_the_channels():
    for name in ('_base_/models/rssd512_vgg16.py', 'rssd/rssd256-narrow_bccd.py'):
        cfg = Config.fromfile(CONFIGS / name).model
        with torch.device('meta'):
            model = MODELS.build(cfg.neck)
        assert set(cfg.bbox_head.in_channels) == {model.rainbow_channels}


def rssd_head(**kwargs):
    generator = dict(head_cfg()['anchor_generator'], ratios=[[2, 3]] * 3)
    cfg = head_cfg(type='RSSDHead', in_channels=(13,) * 3, anchor_generator=generator)
    return MODELS.build({**cfg, **kwargs})


def test_the_classifier_is_shared():
    head = rssd_head()
    assert isinstance(head, RSSDHead)
    assert len(list(head.parameters())) == 4
    x = torch.randn(2, 13, 3, 4)
    scores, deltas = head([x, x[..., :2, :2], x])
    assert torch.equal(scores[0], scores[2]) and torch.equal(deltas[0], deltas[2])
    assert scores[1].shape == (2, 6 * 4, 2, 2) and deltas[1].shape == (2, 6 * 4, 2, 2)


def test_errors():
    with pytest.raises(ConfigError, match='in_channels'):
        rssd_head(in_channels=(13, 12, 13))
    with pytest.raises(ConfigError, match='same ratios'):
        rssd_head(anchor_generator=head_cfg()['anchor_generator'])
