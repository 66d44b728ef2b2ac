import pytest
import torch

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import Darknet19, YOLOv1Backbone


def tiny(**kwargs):
    return Darknet19(widen_factor=0.125, **kwargs)


@pytest.mark.parametrize('size', [(32, 32), (64, 96), (50, 37)])
def test_shapes(size):
    model = tiny(out_indices=(0, 3, 4, 5))
    outs = model(torch.randn(2, 3, *size))
    for out, channels, stride in zip(outs, model.out_channels, (1, 8, 16, 32), strict=True):
        assert out.shape == (2, channels, *(-(-side // stride) for side in size))


def test_is_table_6_of_the_paper():
    with torch.device('meta'):
        model = Darknet19()
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convs) == 18  # the nineteenth is the classifier
    assert [c.out_channels for c in convs[:8]] == [32, 64, 128, 64, 128, 256, 128, 256]
    assert [c.out_channels for c in convs[8:]] == [512, 256, 512, 256, 512, *[1024, 512] * 2, 1024]
    assert model.out_channels == (512, 1024)
    kernels = [c.kernel_size[0] for c in convs]
    assert kernels == [3, 3, 3, 1, 3, 3, 1, 3, 3, 1, 3, 1, 3, 3, 1, 3, 1, 3]


def test_yolov1_has_twenty_convolutions():
    with torch.device('meta'):
        model = YOLOv1Backbone()
        (out,) = model(torch.empty(1, 3, 448, 448))
    assert out.shape == (1, 1024, 14, 14)
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convs) == 20
    assert (convs[0].kernel_size, convs[0].stride) == ((7, 7), (2, 2))
    assert all(c.stride == (1, 1) for c in convs[1:])


def test_stages_after_the_last_are_not_made():
    assert len(tiny(out_indices=(3, 4)).stages) == 5
    model = tiny(out_indices=(2,)).train()
    model.init_weights()
    model(torch.randn(2, 3, 32, 32))[0].square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_frozen_stages_and_norm_eval():
    model = tiny(frozen_stages=2, norm_eval=True).train()
    frozen = [all(not p.requires_grad for p in stage.parameters()) for stage in model.stages]
    assert frozen == [True, True, True, False, False, False]
    before = model.stages[5][1].bn.running_mean.clone()
    model(torch.randn(2, 3, 32, 32))
    assert torch.equal(model.stages[5][1].bn.running_mean, before)


@pytest.mark.parametrize(
    'wrong', [dict(widen_factor=0), dict(out_indices=(3, 6)), dict(frozen_stages=6)]
)
def test_errors(wrong):
    with pytest.raises(ConfigError, match=f'Darknet19.{next(iter(wrong))}'):
        Darknet19(**wrong)
