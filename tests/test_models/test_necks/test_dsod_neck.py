import pytest
import torch
import torch.nn.functional as F

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import DSODNeck


def neck(**kwargs):
    model = DSODNeck(**{**dict(in_channels=(6, 4), half_channels=(4, 4, 2)), **kwargs})
    model.init_weights()
    return model


def norm_relu_conv(module, x, stride=1):
    weight = module.conv.weight
    return F.conv2d(F.relu(module.bn(x)), weight, None, stride, weight.shape[-1] // 2)


@pytest.mark.parametrize('size', [(10, 14), (5, 3), (1, 1)])
def test_is_the_formula(size):
    model = neck().eval()
    coarse_size = tuple(-(-side // 2) for side in size)
    fine, coarse = torch.randn(2, 6, *size), torch.randn(2, 4, *coarse_size)
    passed = norm_relu_conv(model.passed, F.max_pool2d(fine, 2, 2, ceil_mode=True))
    expected = [fine, torch.cat([coarse, passed], dim=1)]
    for step in model.steps:
        x = expected[-1]
        half = norm_relu_conv(step.passed, F.max_pool2d(x, 2, 2, ceil_mode=True))
        learned = norm_relu_conv(step.learned[1], norm_relu_conv(step.learned[0], x), stride=2)
        expected.append(torch.cat([half, learned], dim=1))
    outs = model((fine, coarse))
    assert [out.shape[1] for out in outs] == model.out_channels == [6, 8, 8, 4]
    for out, x in zip(outs, expected, strict=True):
        torch.testing.assert_close(out, 20 * F.normalize(x, dim=1))


def test_without_init_the_norms_are_no_leftover_memory():
    model = DSODNeck(in_channels=(6, 4), half_channels=(4,), l2_norm_scale=7)
    assert all((norm.weight == 7).all() for norm in model.l2_norms)


def test_gradient():
    model = neck().train()
    outs = model((torch.randn(2, 6, 16, 16), torch.randn(2, 4, 8, 8)))
    sum((out * torch.randn_like(out)).mean() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize('wrong', [dict(in_channels=(6,)), dict(half_channels=())])
def test_errors(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        neck(**wrong)
