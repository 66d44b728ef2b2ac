from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ldwsccd_mmdet.engine.vgg_weights import decimate, vgg_to_ssd
from ldwsccd_mmdet.errors import CheckpointError, ConfigError
from ldwsccd_mmdet.models import ScaledSSDVGG
from tests.commands import run_door

HIDDEN = 16  # of 4096


def vgg11(widen_factor: float = 1 / 64) -> dict[str, torch.Tensor]:
    """Random weights of a narrow VGG11 as torchvision names them, with its three FC layers."""
    backbone = ScaledSSDVGG(depth=11, widen_factor=widen_factor)
    state = {k: torch.randn_like(v) * 0.3 for k, v in backbone.state_dict().items()}
    last = sorted({int(k.split('.')[1]) for k in state})[-2:]  # conv6, conv7
    state = {k: v for k, v in state.items() if int(k.split('.')[1]) not in last}
    channels = 8
    for name, inputs in (('0', channels * 49), ('3', HIDDEN), ('6', HIDDEN)):
        outputs = HIDDEN if name != '6' else 10
        state[f'classifier.{name}.weight'] = torch.randn(outputs, inputs)
        state[f'classifier.{name}.bias'] = torch.randn(outputs)
    return state


def conv_indices(state):
    numbers = sorted({int(key.split('.')[1]) for key in state})
    return numbers[-2:]


def test_conv6_is_fc6_at_the_kept_taps():
    """A map that is zero at all other taps gives the same numbers through both."""
    state = vgg11()
    out = vgg_to_ssd(state)
    conv6, _ = conv_indices(out)
    weight, bias = out[f'features.{conv6}.weight'], out[f'features.{conv6}.bias']
    assert weight.shape == (HIDDEN // 4, 8, 3, 3)
    x = torch.zeros(2, 8, 7, 7)
    x[:, :, ::3, ::3] = torch.randn(2, 8, 3, 3)
    dense = F.linear(x.flatten(1), state['classifier.0.weight'], state['classifier.0.bias'])
    conv = F.conv2d(x, weight, bias, dilation=3)
    torch.testing.assert_close(conv[..., 0, 0], dense[:, ::4])
    # SSD's map is twice as dense, hence its dilation of 6
    dense_map = torch.zeros(2, 8, 13, 13)
    dense_map[:, :, ::2, ::2] = x
    wide = F.conv2d(dense_map, weight, bias, dilation=6)
    torch.testing.assert_close(wide, conv)


def test_conv7_is_fc7_at_the_kept_inputs():
    state = vgg11()
    out = vgg_to_ssd(state)
    _, conv7 = conv_indices(out)
    x = torch.zeros(2, HIDDEN)
    x[:, ::4] = torch.randn(2, HIDDEN // 4)
    dense = F.linear(x, state['classifier.3.weight'], state['classifier.3.bias'])
    weight, bias = out[f'features.{conv7}.weight'], out[f'features.{conv7}.bias']
    conv = F.conv2d(x[:, ::4, None, None], weight, bias)
    torch.testing.assert_close(conv[..., 0, 0], dense[:, ::4])


def test_decimate_equals_the_loop():
    x = torch.arange(7 * 5).view(7, 5)
    expected = [[int(x[i, j]) for j in range(0, 5, 2)] for i in range(0, 7, 3)]
    assert decimate(x, (3, 2)).tolist() == expected
    assert torch.equal(decimate(x, (1, 1)), x)


def test_of_vgg16_the_layers_are_those_of_ssd():
    """Names and shapes of SSD's VGG16, for FC layers of 4096."""
    with torch.device('meta'):
        expected = ScaledSSDVGG(depth=16).state_dict()
    state = {
        key: torch.zeros(value.shape)
        for key, value in expected.items()
        if key.split('.')[1] not in ('31', '33')
    }
    for name, shape in (('0', (4096, 512 * 49)), ('3', (4096, 4096))):
        state[f'classifier.{name}.weight'] = torch.zeros(1).expand(shape)
        state[f'classifier.{name}.bias'] = torch.zeros(4096)
    out = vgg_to_ssd(state)
    shapes = {key: tuple(value.shape) for key, value in out.items()}
    assert shapes == {key: tuple(value.shape) for key, value in expected.items()}


def test_the_command_writes_what_the_backbone_loads(tmp_path, capsys):
    """With --std, images of std 1 give the maps that divided ones gave."""
    state = vgg11()
    torch.save(state, tmp_path / 'vgg.pth')
    std = torch.tensor([58.0, 57.0, 56.0])
    tool = 'tools/model_converters/vgg2ssd.py'
    made = tmp_path / 'ssd.pth'
    assert run_door(tool, tmp_path / 'vgg.pth', made, '--std', *std.tolist()) == 0
    assert 'FC6 and FC7 as conv6 and conv7' in capsys.readouterr().out
    loaded = torch.load(made, weights_only=True)['state_dict']
    backbone = ScaledSSDVGG(depth=11, widen_factor=1 / 64)
    features = {k: v for k, v in state.items() if k.startswith('features.')}
    x = torch.randn(1, 3, 16, 16)
    first = F.conv2d(x, loaded['features.0.weight'], loaded['features.0.bias'], padding=1)
    divided = x / std.view(1, 3, 1, 1)
    expected = F.conv2d(divided, state['features.0.weight'], state['features.0.bias'], padding=1)
    torch.testing.assert_close(first, expected)
    own = backbone.state_dict()
    assert own.keys() == loaded.keys() >= features.keys()
    assert run_door(tool, tmp_path / 'none.pth', made) == 2
    assert 'do not exist' in capsys.readouterr().err


def test_errors():
    state = vgg11()
    with pytest.raises(CheckpointError, match='no classifier.3.bias'):
        vgg_to_ssd({k: v for k, v in state.items() if k != 'classifier.3.bias'})
    with pytest.raises(CheckpointError, match='norm layers'):
        vgg_to_ssd({**state, 'features.1.running_mean': torch.zeros(8)})
    wrong = {**state, 'classifier.0.weight': torch.zeros(HIDDEN, 8 * 36)}
    with pytest.raises(CheckpointError, match='7 x 7'):
        vgg_to_ssd(wrong)
    with pytest.raises(ConfigError, match='keep'):
        vgg_to_ssd(state, keep=0)
    with pytest.raises(ConfigError, match='std'):
        vgg_to_ssd(state, std=(1.0, 0.0, 1.0))
