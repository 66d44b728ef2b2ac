import pytest
import torch

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import CSPDarknet53


def tiny(**kwargs):
    return CSPDarknet53(deepen_factor=0.1, widen_factor=0.125, **kwargs)


@pytest.mark.parametrize('size', [(32, 32), (64, 96), (50, 37)])
def test_shapes(size):
    model = tiny(out_indices=(0, 3, 4, 5))
    outs = model(torch.randn(2, 3, *size))
    for out, channels, stride in zip(outs, model.out_channels, (1, 8, 16, 32), strict=True):
        assert out.shape == (2, channels, *(-(-side // stride) for side in size))


def test_factors():
    assert tiny().out_channels == (32, 64, 128)
    assert [len(stage.blocks) for stage in tiny().stages[1:]] == [1, 1, 1, 1, 1]
    with torch.device('meta'):
        full = CSPDarknet53()
    assert full.out_channels == (256, 512, 1024)
    assert [len(stage.blocks) for stage in full.stages[1:]] == [1, 2, 8, 8, 4]


def test_a_stage_is_its_formula():
    stage = tiny().stages[2].eval()
    x = torch.randn(1, stage.down.conv.in_channels, 8, 8)
    down = stage.down(x)
    main = stage.main(down)
    for block in stage.blocks:
        main = main + block.conv2(block.conv1(main))
    expected = stage.fuse(torch.cat([stage.post(main), stage.bypass(down)], dim=1))
    torch.testing.assert_close(stage(x), expected)


def test_frozen_stages_and_norm_eval():
    model = tiny(frozen_stages=2, norm_eval=True).train()
    frozen = [all(not p.requires_grad for p in stage.parameters()) for stage in model.stages]
    assert frozen == [True, True, True, False, False, False]
    before = model.stages[5].down.bn.running_mean.clone()
    model(torch.randn(2, 3, 32, 32))
    assert torch.equal(model.stages[5].down.bn.running_mean, before)
    assert model.stages[5].down.bn.weight.requires_grad


def test_init_and_gradient():
    model = tiny().train()
    model.init_weights()
    x = torch.randn(2, 3, 64, 64)
    sum(out.square().mean() for out in model(x)).backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(
    'wrong',
    [dict(widen_factor=0), dict(deepen_factor=-1), dict(out_indices=(3, 6)), dict(frozen_stages=6)],
)
def test_errors(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CSPDarknet53(**wrong)
