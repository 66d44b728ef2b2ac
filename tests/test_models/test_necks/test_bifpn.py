import pytest
import torch
import torch.nn.functional as F

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import BiFPN
from ldwsccd_mmdet.models.necks.bifpn import fast_normalised_fusion


def maps(channels=(4, 6, 8), sizes=((8, 12), (4, 6), (2, 3))):
    return [torch.randn(2, c, *size) for c, size in zip(channels, sizes, strict=True)]


def neck(**kwargs):
    model = BiFPN((4, 6, 8), **{**dict(out_channels=5, num_cells=2), **kwargs})
    model.init_weights()
    return model


def test_fusion_equals_the_formula():
    weight = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    inputs = [torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    expected = (0.5 * inputs[0] + 2.0 * inputs[2]) / (1e-4 + 2.5)
    torch.testing.assert_close(fast_normalised_fusion(inputs, weight), expected)

    def fuse(weight, *inputs):
        return fast_normalised_fusion(inputs, weight)

    assert torch.autograd.gradcheck(fuse, (weight, *inputs))


def test_no_weight_above_0_gives_0():
    out = fast_normalised_fusion(maps((4, 4), ((2, 2),) * 2), torch.tensor([-1.0, 0.0]))
    assert not out.any()


def test_a_cell_equals_the_equations():
    """Four levels, each node written out; the weights of no two are equal."""
    cell = neck(num_outs=4).cells[0].eval()
    for parameter in (*cell.td_weights, *cell.bu_weights):
        parameter.data.uniform_(0.2, 2)
    p = maps((5,) * 4, ((8, 12), (4, 6), (2, 3), (1, 2)))
    q = [x + 1 for x in p]

    def node(conv, weight, *inputs):
        w = weight.relu() / (weight.relu().sum() + 1e-4)
        return conv(F.silu(sum(w[i] * x for i, x in enumerate(inputs))))

    def up(x, like):
        return F.interpolate(x, size=like.shape[-2:], mode='nearest')

    def down(x):
        return F.max_pool2d(x, 3, 2, 1)

    td2 = node(cell.td_convs[0], cell.td_weights[0], p[2], up(p[3], p[2]))
    td1 = node(cell.td_convs[1], cell.td_weights[1], p[1], up(td2, p[1]))
    out0 = node(cell.td_convs[2], cell.td_weights[2], p[0], up(td1, p[0]))
    out1 = node(cell.bu_convs[0], cell.bu_weights[0], q[1], td1, down(out0))
    out2 = node(cell.bu_convs[1], cell.bu_weights[1], q[2], td2, down(out1))
    out3 = node(cell.bu_convs[2], cell.bu_weights[2], q[3], down(out2))
    for out, expected in zip(cell(p, q), (out0, out1, out2, out3), strict=True):
        torch.testing.assert_close(out, expected)


@pytest.mark.parametrize(
    'sizes', [((8, 12), (4, 6), (2, 3)), ((7, 5), (4, 3), (2, 2)), ((1, 1),) * 3]
)
@pytest.mark.parametrize('num_outs', [3, 5])
def test_shapes_and_gradient(sizes, num_outs):
    model = neck(num_outs=num_outs).train()
    outs = model(maps(sizes=sizes))
    expected = list(sizes)
    while len(expected) < num_outs:
        expected.append(tuple((side + 1) // 2 for side in expected[-1]))
    assert [tuple(out.shape) for out in outs] == [(2, 5, *size) for size in expected]
    sum(out.square().mean() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_every_map_sees_every_level():
    model = neck().eval()
    inputs = maps()
    before = model(inputs)
    for source in range(3):
        changed = [x + (i == source) * torch.randn_like(x) for i, x in enumerate(inputs)]
        for out, old in zip(model(changed), before, strict=True):
            assert not torch.allclose(out, old)


@pytest.mark.parametrize('wrong', [dict(num_cells=0), dict(num_outs=2)])
def test_errors(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        neck(**wrong)
