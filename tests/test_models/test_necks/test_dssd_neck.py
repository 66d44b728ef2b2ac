import pytest
import torch
import torch.nn.functional as F
from mmdet.models.necks import SSDNeck

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import DSSDNeck

SSD = dict(in_channels=(8, 16), out_channels=(8, 16, 8), level_strides=(2,), level_paddings=(1,))


def neck(**kwargs):
    made = DSSDNeck(**{**SSD, 'deconv_channels': 12, **kwargs})
    made.init_weights()
    return made


@pytest.mark.parametrize(
    ('join', 'joined'),
    [('product', lambda coarse, ssd: coarse * ssd), ('sum', lambda coarse, ssd: coarse + ssd)],
)
def test_is_the_formula(join, joined):
    """Product (or sum) of the two branches, from the coarsest map on."""
    model = neck(join=join).eval()
    inputs = (torch.randn(2, 8, 8, 12), torch.randn(2, 16, 4, 6))
    fine, middle, coarse = SSDNeck.forward(model, inputs)
    x = F.relu(model.top(coarse))
    outs = [x]
    for module, ssd in zip(model.deconvs, (middle, fine), strict=True):
        up = F.conv_transpose2d(x, module.deconv.weight, module.deconv.bias, stride=2)
        first, second = module.ssd_convs
        side = second.bn(second.conv(F.relu(first.bn(first.conv(ssd)))))
        x = F.relu(joined(module.coarse_conv.bn(module.coarse_conv.conv(up)), side))
        outs.insert(0, x)
    for out, expected in zip(model(inputs), outs, strict=True):
        torch.testing.assert_close(out, expected)


def test_the_product_is_the_default():
    assert all(module.join is torch.mul for module in neck().deconvs)


def test_bad_join():
    with pytest.raises(ConfigError, match="join: expected 'product' or 'sum', found 'concat'"):
        neck(join='concat')


def test_ssds_weights_load_into_it():
    """The paper trains SSD first."""
    ssd = SSDNeck(**SSD)
    ssd.init_weights()
    missing, unexpected = neck().load_state_dict(ssd.state_dict(), strict=False)
    assert unexpected == []
    assert {name.split('.')[0] for name in missing} == {'top', 'deconvs'}


@pytest.mark.parametrize(('strides', 'sizes'), [((2, 2, 1, 1), [38, 19, 10, 5, 3, 1])])
def test_odd_sizes(strides, sizes):
    model = neck(
        out_channels=(8, 16, 8, 8, 8, 8), level_strides=strides, level_paddings=(1, 1, 0, 0)
    ).eval()
    outs = model((torch.randn(1, 8, 38, 38), torch.randn(1, 16, 19, 19)))
    assert [tuple(out.shape[1:]) for out in outs] == [(12, s, s) for s in sizes]


def test_gradient():
    model = neck().train()
    outs = model((torch.randn(2, 8, 8, 8), torch.randn(2, 16, 4, 4)))
    sum(out.square().mean() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_deconvolutions_stay_in_float32_under_autocast():
    model = neck().eval()
    inputs = (torch.randn(2, 8, 8, 8), torch.randn(2, 16, 4, 4))
    with torch.autocast('cpu', torch.bfloat16):
        maps = [x.float() for x in SSDNeck.forward(model, inputs)]
        outs = model(inputs)
    expected = [F.relu(model.top(maps[-1]))]
    for module, ssd in zip(model.deconvs, reversed(maps[:-1]), strict=True):
        expected.insert(0, module(expected[0], ssd))
    for out, x in zip(outs, expected, strict=True):
        assert out.dtype == torch.float32
        torch.testing.assert_close(out, x)


def test_double():
    model = neck().double()
    outs = model((torch.randn(1, 8, 8, 8).double(), torch.randn(1, 16, 4, 4).double()))
    assert {out.dtype for out in outs} == {torch.float64}
