import pytest
import torch

from ldwsccd_mmdet.models.losses import channel_attention, spatial_attention


@pytest.fixture
def feat():
    return torch.randn(2, 5, 3, 4, dtype=torch.float64)


def test_spatial_attention_is_eq_10(feat):
    out = spatial_attention(feat, 0.5)
    for n in range(2):
        energy = [
            sum(abs(feat[n, c, i, j].item()) for c in range(5)) / 5
            for i in range(3)
            for j in range(4)
        ]
        exp = torch.tensor(energy, dtype=torch.float64).div(0.5).exp()
        torch.testing.assert_close(out[n].flatten(), 12 * exp / exp.sum())


def test_channel_attention_is_eq_11(feat):
    out = channel_attention(feat, 2.0)
    for n in range(2):
        energy = [
            sum(abs(feat[n, c, i, j].item()) for i in range(3) for j in range(4)) / 12
            for c in range(5)
        ]
        exp = torch.tensor(energy, dtype=torch.float64).div(2.0).exp()
        torch.testing.assert_close(out[n], 5 * exp / exp.sum())


def test_constant_features_give_attention_one():
    feat = torch.full((2, 3, 4, 5), 7.0)
    torch.testing.assert_close(spatial_attention(feat, 0.5), torch.ones(2, 4, 5))
    torch.testing.assert_close(channel_attention(feat, 0.5), torch.ones(2, 3))


def test_single_cell_and_single_channel():
    assert spatial_attention(torch.randn(1, 3, 1, 1), 0.5).tolist() == [[[1.0]]]
    assert channel_attention(torch.randn(1, 1, 3, 3), 0.5).tolist() == [[1.0]]


def test_low_temperature_looks_at_one_cell(feat):
    out = spatial_attention(feat, 1e-6).flatten(1)
    assert torch.equal(out.argmax(1), feat.abs().mean(1).flatten(1).argmax(1))
    torch.testing.assert_close(out.max(1).values, torch.full((2,), 12.0, dtype=torch.float64))


@pytest.mark.parametrize('attention', [spatial_attention, channel_attention])
def test_float32_under_autocast(attention):
    feat = torch.randn(2, 8, 4, 4) * 1e3
    with torch.autocast('cpu', torch.bfloat16):
        out = attention(feat.bfloat16(), 0.5)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, attention(feat.bfloat16().float(), 0.5))


@pytest.mark.parametrize('attention', [spatial_attention, channel_attention])
def test_gradcheck(attention, feat):
    feat = (feat.sign() * (feat.abs() + 0.1)).requires_grad_()  # away from the kink of |F|
    assert torch.autograd.gradcheck(lambda f: attention(f, 0.5), feat)


@pytest.mark.parametrize('attention', [spatial_attention, channel_attention])
def test_bad_input(attention):
    with pytest.raises(ValueError, match=r'\(N, C, H, W\)'):
        attention(torch.zeros(3, 4, 4), 0.5)
    with pytest.raises(ValueError, match='temperature: expected > 0, found 0'):
        attention(torch.zeros(1, 3, 4, 4), 0)
